import builtins
import os
import pickle
import random
import resource
import struct
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_pickles import CIFAR, INERT, Own, Reduced, hostile
from refused import refused
from true_formats import text

from novelweights.errors import InputError
from novelweights.readers.pickle.interpreter import read_pickle
from novelweights.readers.pickle.values import Name, Stub

PLAIN = [
    None,
    True,
    -1,
    2**200,
    -(2**31),
    0.1,
    float("inf"),
    1 + 2j,
    "text",
    "täxt \n\\ \U0001f600",
    b"bytes\xff\n",
    bytearray(b"more"),
    bytearray(),
    [1, [2, [3]], ()],
    (1, 2, 3, (4,), ("a", ("b",))),
    {"a": {"b": [1]}, 1: None, (1, "x"): 2.0, b"k": {}, None: 0},
    {1, "a"},
    frozenset({2, ("a", 1)}),
    OrderedDict(a=1, b=[2]),
    Counter("hello"),
    defaultdict(list, {"a": [1]}),
    list(range(3000)),
    {str(i): i for i in range(3000)},
    "long" * 100_000,
]


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_those_that_were_pickled(protocol: int) -> None:
    plain = {OrderedDict: dict, Counter: dict, defaultdict: dict, bytearray: bytes}
    for value in PLAIN:
        found = read_pickle(pickle.dumps(value, protocol))
        assert found == value
        assert type(found) is plain.get(type(value), type(value))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_those_that_were_pickled(protocol: int) -> None:
    for dtype in ("f2", "<f4", ">f8", "i1", "u2", "?", "c8", "i8"):
        array = np.arange(24).reshape(2, 3, 4).astype(dtype)
        for original in (array, np.asfortranarray(array), array[:, ::2], array[0, 0, 0], array[:0]):
            found = read_pickle(pickle.dumps([original, original], protocol))
            np.testing.assert_array_equal(found[0], original)
            if isinstance(original, np.ndarray):
                assert found[0].dtype == original.dtype.newbyteorder("=")
                assert found[0] is found[1]


def test_batches_of_cifar_are_read_as_unpickling_would() -> None:
    for content in (CIFAR, CIFAR.replace(b"\x89T", b"\x88T")):  # its flag for Fortran order
        found, expected = read_pickle(content), pickle.loads(content, encoding="bytes")
        np.testing.assert_array_equal(found.pop("data"), expected.pop(b"data"))
        assert {key.encode() for key in found} == set(expected)
        assert found["labels"] == expected[b"labels"]
        assert [name.encode() for name in found["filenames"]] == expected[b"filenames"]


def test_shared_values_stay_shared_and_cycles_are_no_matter() -> None:
    inner: list[Any] = [1]
    inner.append(inner)
    found = read_pickle(pickle.dumps({"a": inner, "b": inner}))
    assert found["a"] is found["b"]
    assert found["a"][1] is found["a"]


def test_text_of_python_2_is_text_if_it_can_be() -> None:
    assert read_pickle(b"U\x03abc.") == "abc"
    assert read_pickle(b"T\x02\x00\x00\x00\xff\xfe.") == b"\xff\xfe"
    assert read_pickle(b"S'ab\\n'\n.") == "ab\n"


def test_persistent_identifiers_are_the_callers() -> None:
    content = b"(K\x01K\x02tQ."
    assert read_pickle(content, persistent=lambda found: ("there", found)) == ("there", (1, 2))
    assert read_pickle(b"Pname\n.", persistent=str.upper) == "NAME"
    with refused("unsafe"):
        read_pickle(content)

    def refuse(_: object) -> None:
        raise InputError("not that one", "wrong-type")

    with refused("wrong-type", "not that one"):
        read_pickle(content, persistent=refuse)


class _OwnList(list):
    pass


class _OwnDict(dict):
    pass


@pytest.mark.parametrize("protocol", range(6))
def test_unknown_classes_become_stubs_where_they_are_accepted(protocol: int) -> None:
    value = {"own": Own(), "list": _OwnList([1, 2]), "dict": _OwnDict(a=3), "class": Own}
    read = read_pickle(pickle.dumps(value, protocol), stubs=True)
    own, items, entries = (read[key] for key in ("own", "list", "dict"))
    assert isinstance(own, Stub)
    assert own.name == read["class"] == Name("hostile_pickles", "Own")
    assert own.state == {"sizes": [1, 2], "name": "own"}
    assert items.items == [1, 2] or items.arguments == ([1, 2],)
    assert entries.items == [("a", 3)] or entries.arguments == ({"a": 3},)
    with refused("unsafe", "hostile_pickles.Own"):
        read_pickle(pickle.dumps(value, protocol))


@pytest.mark.parametrize("stubs", [False, True])
def test_nothing_that_a_pickle_names_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubs: bool
) -> None:
    canary = tmp_path / "canary"
    for way, content in (hostile(canary) | INERT).items():
        imported: list[tuple] = []
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "__import__", lambda *names, **_: imported.append(names))  # noqa: B023
            code = refusal(content, stubs=stubs)
        assert imported == [], way
        assert not canary.exists(), way
        assert stubs or code == "unsafe", way


@pytest.mark.parametrize("way", hostile(Path("x")))
def test_the_hostile_pickles_would_have_run(tmp_path: Path, way: str) -> None:
    canary = tmp_path / "canary"
    pickle.loads(hostile(canary)[way], encoding="latin-1")
    assert canary.exists()


def refusal(content: bytes, *, stubs: bool = False) -> str:
    """The code of the only error there may be; empty if there is none."""
    try:
        read_pickle(content, stubs=stubs)
    except InputError as error:
        return error.code if str(error).isprintable() else "not one line"
    return ""


def test_message_names_what_would_have_been_imported() -> None:
    with refused("unsafe", "posix.system"):
        read_pickle(pickle.dumps(Reduced(os.system, ("true",))))
    with refused("unsafe", "a?b.c"):
        read_pickle(b"\x80\x04\x8c\x03a\nb\x8c\x01c\x93.")


def deep(n: int, kind: str) -> bytes:
    if kind == "tuple":
        return b"\x80\x02)" + b"\x85" * n
    if kind == "list":
        return b"\x80\x02" + b"]" * n + b"a" * (n - 1)
    if kind == "dict":
        return b"\x80\x02" + b"}K\x00" * n + b"N" + b"s" * n
    return b"\x80\x02" + b"cm\nn\n" * n + b")R" + b"\x85R" * (n - 1)


@pytest.mark.parametrize("kind", ["tuple", "list", "dict", "stub"])
def test_deep_values_are_read_and_let_go(kind: str) -> None:
    value = read_pickle(deep(2_000, kind) + b".", stubs=True)
    if kind == "stub":
        assert repr(value) == "Stub(m.n)"
    else:
        with pytest.raises(RecursionError):
            repr(value)
    del value


@pytest.mark.parametrize(
    "content",
    [
        b"}" + deep(2_000, "tuple")[2:] + b"Ns.",
        b"\x8f(" + deep(2_000, "tuple")[2:] + b"\x90.",
        b"}(K\x01(K\x02tNtNs.",  # a tuple in a tuple
        b"}]Ns.",
        b"}(" + b"N" * 17 + b"tNs.",
        b"}X\x20\x4e\x00\x00" + b"a" * 20_000 + b"Ns.",
        b"}\x8a\xff\x00" + b"\xff" * 253 + b"\x01Ns.",
        b"}h\x00Ns.",
        b"]q\x00}h\x00Ns.",
        b"]q\x00)h\x00as.",
        b"",
        b"no pickle",
    ],
)
def test_keys_are_short_flat_plain_values(content: bytes) -> None:
    assert refusal(content) == "damaged"


def test_many_keys_that_could_be_made_to_collide_are_refused() -> None:
    assert refusal(pickle.dumps({(i, 0): None for i in range(5_001)})) == "too-large"
    assert len(read_pickle(pickle.dumps(dict.fromkeys(range(6_000))))) == 6_000


ARRAY = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R"
AMPLIFIED = {
    "bytearray of a number": b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\x5e\xd0\xb2\x00\x85R.",
    "bytes of a number": b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "array of a shape": ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85"
    b"cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R\x89U\x00tb.",
    "long text": b"\x8d\x00\x00\x00\x00\x00\x01\x00\x00abc.",
    "long bytes": b"\x8e\x00\x00\x00\x00\x00\x00\x00\x40abc.",
    "negative length": b"T\xff\xff\xff\xffabc.",
    "number in decimals": b"I" + b"9" * 100_000 + b"\n.",
    "long in decimals": b"L" + b"9" * 100_000 + b"L\n.",
    "buffer outside": b"\x80\x05\x97.",
    "encoded again and again": b"\x80\x02X\x00\x00\x10\x00" + b"a" * (1 << 20) + b"q\x00"
    b"X\x06\x00\x00\x00latin1\x86q\x010c_codecs\nencode\nq\x020" + b"h\x02h\x01R" * 1000 + b".",
    "listed again and again": b"\x80\x02](" + b"N" * 500 + b"e\x85q\x010"
    b"cbuiltins\nset\nq\x020" + b"h\x02h\x01R" * 500 + b".",
    "set again and again": ARRAY + b"(K\x01J\x00\x00\x10\x00\x85"
    b"cnumpy\ndtype\nX\x02\x00\x00\x00u1\x85R\x89B\x00\x00\x10\x00"
    + b"a" * (1 << 20)
    + b"tq\x00"
    + b"bh\x00" * 1000
    + b".",
}


@pytest.mark.parametrize("way", AMPLIFIED)
def test_small_pickle_makes_no_large_value(way: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(AMPLIFIED[way]) in ("damaged", "unsafe", "too-large")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_pickle_of_more_instructions_than_allowed_is_refused() -> None:
    with refused("too-large", "39 instructions"):
        read_pickle(b"N" * 100 + b".", max_bytes=10_000)


@pytest.mark.parametrize(
    "array",
    [np.array(["a", "b"]), np.array([None]), np.zeros(2, [("a", "f4")]), np.array(["2020"], "M8")],
    ids=["text", "objects", "records", "dates"],
)
def test_arrays_of_something_else_than_numbers_are_refused(array: np.ndarray) -> None:
    for protocol in (2, 5):
        assert refusal(pickle.dumps({"w": array}, protocol)) == "wrong-type"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (text(b"u1"), text(b"O8"), "wrong-type"),
        (b"\x89T", b"NT", "damaged"),
        (b"M\x00\x0c\x86", b"N\x86", "damaged"),
        (b"M\x00\x0c\x86", b"M\x01\x0c\x86", "damaged"),
        (b"cnumpy.core.multiarray\n_reconstruct\n", b"K\x01", "unsafe"),
        (b"]q\x04(", b"Nq\x04(", "damaged"),
    ],
)
def test_arrays_that_are_not_whole_are_refused(old: bytes, new: bytes, code: str) -> None:
    assert old in CIFAR
    assert refusal(CIFAR.replace(old, new)) == code


def test_array_of_another_state_is_refused() -> None:
    for state in (b"N", b"K\x01", b")", b"(K\x01K\x01K\x01K\x01t", struct.pack("<cB", b"h", 1)):
        assert refusal(ARRAY + state + b"b.") in ("damaged", "wrong-type")


def mutations(content: bytes, n: int, seed: int) -> list[bytes]:
    """Copies with bytes changed, cut, left out or put in."""
    chance = random.Random(seed)
    found = []
    for _ in range(n):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(changed))
            way = chance.randrange(4)
            if way < 2:
                changed[at] = chance.randrange(256)
            elif way == 2:
                del changed[at : at + chance.randint(1, 9)]
            else:
                changed[at:at] = chance.randbytes(chance.randint(1, 9))
            changed = changed or bytearray(b".")
        found.append(bytes(changed))
    return found


VARIED = {
    "a": OrderedDict(x=np.arange(5.0), y={1, 2}),
    "b": [b"raw", 1 << 70, (None, True, 0.5)],
    "c": Counter("text"),
}


@pytest.mark.parametrize("n", [20, pytest.param(600, marks=pytest.mark.slow)])
def test_truncated_or_damaged_pickles_raise_nothing_but_input_errors(n: int) -> None:
    for protocol in range(6):
        content = pickle.dumps(VARIED, protocol)
        for end in range(0, len(content), 9):
            assert refusal(content[:end]) != ""
        for changed in mutations(content, n, protocol):
            assert refusal(changed) != "not one line"
            assert refusal(changed, stubs=True) != "not one line"
    for changed in mutations(CIFAR, n, 7):
        assert refusal(changed) != "not one line"
