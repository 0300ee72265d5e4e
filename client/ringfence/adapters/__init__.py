"""What connects tills, shops and ERP systems to Ringfence.

`simulated_till` is a till whose journal is known: what an adapter's behaviour is judged by.
"""
