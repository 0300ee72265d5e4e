"""Lists that come in pages: iterate over the items and the pages are fetched as they are needed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from ringfence._types import Page

__all__ = ["AsyncPager", "Pager"]

T = TypeVar("T")


class AsyncPager(Generic[T]):
    """A list that comes in pages. Nothing is fetched before it is iterated over; iterating again fetches again.

    `async for item in pager` goes over all items, `async for page in pager.pages()` over the pages, and
    `await pager.page()` fetches one page alone.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[Page[T]]], page_token: str) -> None:
        self._fetch = fetch
        self._page_token = page_token

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncIterator[Page[T]]:
        """All pages, from the one the list was asked to begin with."""
        token = self._page_token
        while True:
            page = await self._fetch(token)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def page(self) -> Page[T]:
        """The one page the list was asked to begin with; `next_page_token` says where the next one begins."""
        return await self._fetch(self._page_token)


class Pager(Generic[T]):
    """As AsyncPager, for `for`."""

    def __init__(self, fetch: Callable[[str], Page[T]], page_token: str) -> None:
        self._fetch = fetch
        self._page_token = page_token

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[Page[T]]:
        """All pages, from the one the list was asked to begin with."""
        token = self._page_token
        while True:
            page = self._fetch(token)
            yield page
            token = page.next_page_token
            if not token:
                return

    def page(self) -> Page[T]:
        """The one page the list was asked to begin with; `next_page_token` says where the next one begins."""
        return self._fetch(self._page_token)
