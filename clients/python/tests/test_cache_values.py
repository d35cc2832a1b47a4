# SPDX-License-Identifier: MPL-2.0
"""Models, dataclasses and enums: back as what they were, or an error that says why not."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from typing import Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import msgpack
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from freshwire.cache import CacheCodecError, _codec
from freshwire.cache._values import Values, shape_of


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Owner(BaseModel):
    id: uuid.UUID
    name: str


class Project(BaseModel):
    id: int
    name: str = "unnamed"
    price: decimal.Decimal = decimal.Decimal("1.10")
    color: Color = Color.RED
    owner: Owner | None = None
    members: list[Owner] = []
    made_at: datetime.datetime = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    extra: Any = None


class Tree(BaseModel):
    name: str
    children: list[Tree] = []


getattr(Tree, "model_rebuild", Tree.update_forward_refs)()


@dataclasses.dataclass
class Point:
    x: int
    color: Color
    length: float = dataclasses.field(init=False, default=0.0)

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.x


@dataclasses.dataclass(frozen=True, eq=False)
class Frozen:
    __slots__ = ("points",)
    points: tuple[Point, ...]


class Pair(NamedTuple):
    left: Color
    right: int


class Row(TypedDict, total=False):
    id: int
    color: Color


OWNER = Owner(id=uuid.UUID(int=5), name="Ada")
PROJECT = Project(id=1, owner=OWNER, members=[OWNER], extra={"a": [1]})


def there_and_back(annotation: Any, value: Any) -> Any:
    values = Values(annotation)
    return values.unpack(values.pack(value))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Project, PROJECT),
        (list[Project], [PROJECT, Project(id=2, color=Color.BLUE)]),
        (Optional[Project], None),  # noqa: UP045
        (Optional[Project], PROJECT),  # noqa: UP045
        (Project | None, PROJECT),
        (dict[str, list[Project]], {"a": [PROJECT]}),
        (dict[Color, int], {Color.RED: 1}),
        (Tree, Tree(name="a", children=[Tree(name="b", children=[Tree(name="c")])])),
        (Point, Point(3, Color.BLUE)),
        (tuple[Point, int], (Point(3, Color.RED), 4)),
        (tuple[Color, ...], (Color.RED, Color.BLUE)),
        (set[Color], {Color.RED}),
        (frozenset[Level], frozenset({Level.LOW})),
        (Color, Color.BLUE),
        (Level | None, Level.LOW),
        (Pair, Pair(Color.RED, 1)),
        (Row, {"id": 1, "color": Color.RED}),
        (Row, {}),
        (Union[int, str, None], "x"),  # noqa: UP007
        (Literal["a", 1], "a"),
        (Any, {"plain": (1, 2)}),
        (dict, {"plain": [1]}),
        (None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_value_comes_back_as_what_its_annotation_says(annotation, value):
    back = there_and_back(annotation, value)
    assert back == value
    assert type(back) is type(value)


def test_entries_hold_plain_maps_that_other_languages_read():
    plain = msgpack.unpackb(Values(Project).pack(Project(id=7, name="x", color=Color.BLUE)))
    assert (plain["id"], plain["name"], plain["color"], plain["members"]) == (7, "x", 2, [])
    assert plain[""] == ["extra", "made_at", "members", "owner", "price"]


def test_fields_left_to_their_defaults_stay_so():
    """Else response_model_exclude_unset would answer a hit differently."""
    back = there_and_back(Project, Project(id=1, name="given"))
    dump = getattr(back, "model_dump", None) or back.dict
    assert dump(exclude_unset=True) == {"id": 1, "name": "given"}


def test_dataclasses_with_slots_and_without_equality_come_back():
    back = there_and_back(Frozen, Frozen((Point(1, Color.RED), Point(2, Color.BLUE))))
    assert back.points == (Point(1, Color.RED), Point(2, Color.BLUE))


def test_what_only_caches_a_property_is_no_field():
    point = Point(4, Color.RED)
    assert point.double == 8
    assert there_and_back(Point, point) == point


class Other(BaseModel):
    id: int


class NotOurs:
    pass


class SubProject(Project):
    more: int = 0


Item = TypeVar("Item")


class Page(Generic[Item]):
    pass


@pytest.mark.parametrize(
    "annotation",
    [NotOurs, list[NotOurs], Project | Other, Page[int], Project | Any, list[set[NotOurs]]],
    ids=str,
)
def test_annotation_that_cannot_be_kept_is_an_error_at_decoration(annotation):
    with pytest.raises(TypeError):
        shape_of(annotation)


def test_row_of_an_orm_is_refused_with_its_reason():
    class Mapped:
        __table__ = "rows"

    with pytest.raises(TypeError, match="row of an ORM"):
        shape_of(list[Mapped])


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Project, {"id": 1}),
        (Project, SubProject(id=1)),
        (list[Project], (PROJECT,)),
        (list[Project], [None]),
        (Color, "red"),
        (Row, {"unknown": 1}),
        (Point, Frozen(())),
        (Color | str, Color.RED),
        (tuple[Color, Color], (Color.RED,)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_value_that_is_not_what_the_annotation_says_is_a_type_error(annotation, value):
    with pytest.raises(TypeError):
        Values(annotation).pack(value)


def test_attribute_that_would_be_lost_is_a_type_error():
    point = Point(1, Color.RED)
    point.secret = 1
    with pytest.raises(TypeError, match="would be lost"):
        Values(Point).pack(point)


def test_extra_attributes_of_a_model_are_not_lost_in_silence():
    class Open(BaseModel):
        if pydantic.VERSION < "2":

            class Config:
                extra = "allow"

        else:
            model_config = {"extra": "allow"}
        id: int

    with pytest.raises(TypeError, match="lost"):
        Values(Open).pack(Open(id=1, more=2))


@pytest.mark.parametrize(
    "plain",
    [None, 5, [], {}, {"id": 1}, {"id": 1, "": 5}, "text", {"owner": {"id": 1}}],
    ids=repr,
)
def test_entry_of_another_class_is_a_miss_and_not_a_crash(plain):
    with pytest.raises(CacheCodecError):
        Values(Project).unpack(_codec.pack(plain))


projects = st.builds(
    Project,
    id=st.integers(-(2**60), 2**60),
    name=st.text(),
    price=st.decimals(allow_nan=False, allow_infinity=False),
    color=st.sampled_from(Color),
    owner=st.none() | st.builds(Owner, id=st.uuids(), name=st.text()),
    made_at=st.datetimes(),
    extra=st.none() | st.lists(st.integers(0, 9)) | st.dictionaries(st.text(), st.booleans()),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(projects, max_size=5))
def test_any_models_come_back(found):
    assert there_and_back(list[Project], found) == found


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.integers(0, 9) | st.text(max_size=3),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["id", "name", "owner", ""]), inner),
                    max_leaves=10))  # fmt: skip
def test_no_plain_data_makes_a_reader_crash(plain):
    for annotation in (Project, list[Tree], Point, Pair, Row, dict[Color, Point]):
        try:
            Values(annotation).unpack(_codec.pack(plain))
        except CacheCodecError:
            pass
