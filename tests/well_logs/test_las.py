"""LAS files in every dialect that is met: the same numbers, or one line that says what to do."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bal.sources import WellLog
from bal.types import BadInput
from bal.well_logs.curves import starts
from bal.well_logs.missing import COMMON, Missing
from bal.well_logs.mnemonics import BUILT_IN, parse_aliases
from bal.well_logs.wells import Reading, read_wells

pytest.importorskip("lasio", reason="lasio is not installed")

CASES = Path(__file__).parents[3] / "shared" / "cases"
REAL = Path(__file__).parents[3] / "shared" / "data" / "force2020_curves.npz"
REFUSED = {
    "las_duplicate": r"B-1.las has RHOB:1 and RHOB:2, and each may be 'RHOB'",
    "las_empty": r"B-1.las has no rows of data",
    "las_repeat": r"well B-1 in .*B-1.las do not increase at 1015; sort its rows",
}  # of the cases that are not read


class Dialect(NamedTuple):
    """How a file of the same numbers may look."""

    version: str = "2.0"
    delimiter: str = " "
    declared: bool = True
    comma: bool = False  # decimals
    wrap: int | None = None  # values a line, after the depth's own
    encoding: str = "utf-8"
    newline: str = "\n"
    unit: str = "M"
    title: str = "~A"
    null: str | None = "-999.25"
    upwards: bool = False
    blanks: bool = False  # empty lines and comments among the rows


PLAIN = Dialect()


def write(path: Path, depth: np.ndarray, columns: dict[str, np.ndarray], how: Dialect = PLAIN, well: str = "Süd 1"):
    """A LAS file of [rows] depths in metres and columns of [rows]; NaN is written as the null, or left out."""
    scale = {"M": 1.0, "FT": 0.3048, "F": 0.3048}[how.unit]
    words = {" ": "SPACE", ",": "COMMA", "\t": "TAB", ";": "SEMICOLON", "|": "|"}
    name = f" WELL. WELL : {well}" if how.version == "1.20" else f" WELL. {well} : WELL"
    las3 = how.version == "3.0"
    lines = ["~Version", f" VERS. {how.version} :", f" WRAP. {'NO' if how.wrap is None else 'YES'} :"]
    lines += [f" DLM. {words[how.delimiter]} :"] * how.declared
    lines += ["~Well", f" STRT.{how.unit} {depth[0] / scale:.4f} :", name]
    lines += [f" NULL. {how.null} :"] * (how.null is not None)
    lines += ["~Log_Definition" if las3 else "~Curve", f" DEPT.{how.unit} : depth"]
    lines += [f" {mnemonic}.X : a curve" for mnemonic in columns]
    lines += ["~Log_Data | Log_Definition" if las3 else how.title]

    def text(x: float) -> str:
        if np.isnan(x):
            return how.null or ("NaN" if how.delimiter == " " else "")
        return repr(float(x)).replace(".", ",") if how.comma else repr(float(x))

    for row in list(zip(depth, *columns.values(), strict=True))[:: -1 if how.upwards else 1]:
        fields = [repr(float(row[0] / scale)).replace(".", "," if how.comma else "."), *map(text, row[1:])]
        chunks = [fields] if how.wrap is None else [fields[:1]]
        if how.wrap is not None:
            chunks += [fields[i : i + how.wrap] for i in range(1, len(fields), how.wrap)]
        lines += [how.delimiter.join(chunk) for chunk in chunks]
        lines += ["", "# a remark"] * how.blanks
    path.write_bytes(how.newline.join([*lines, ""]).encode(how.encoding))
    return path


def read(path: Path, *columns: str, **how) -> tuple[np.ndarray, np.ndarray]:
    """Depth [rows] and value [2, rows] of the one well of a file."""
    (well,) = read_wells(path, Reading((columns[0], columns[-1]), **how))
    return well.depth, well.value


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def refused(path: Path, message: str, *columns: str, **how) -> None:
    with pytest.raises(BadInput, match=message) as error:
        read(path, *(columns or ("GR",)), **how)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def depth():
    return 1000 + 0.5 * np.arange(40)


@pytest.fixture
def gamma(depth):
    return 75 + 20 * np.sin(depth)


dialects = (
    st.builds(
        Dialect,
        version=st.sampled_from(["1.20", "2.0", "3.0"]),
        delimiter=st.sampled_from([" ", ",", "\t", ";", "|"]),
        declared=st.booleans(),
        comma=st.booleans(),
        wrap=st.sampled_from([None, None, 2, 3]),
        encoding=st.sampled_from(
            ["utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
        ),
        newline=st.sampled_from(["\n", "\r\n", "\r"]),
        unit=st.sampled_from(["M", "FT", "F"]),
        title=st.sampled_from(["~A", "~ASCII", "~ASCII LOG DATA", "~a  DEPT GR RHOB NPHI", "~Ascii | Curve"]),
        null=st.sampled_from(["-999.25", "-9999", "-1000", "0", None]),
        upwards=st.booleans(),
        blanks=st.booleans(),
    )
    .filter(lambda d: not (d.comma and d.delimiter == ",") and (d.wrap is None or d.null is not None))
    .map(lambda d: d._replace(declared=d.declared or d.delimiter == "|"))
)
floats = st.floats(-400, 400, allow_nan=False, width=32).map(lambda x: round(x, 4) or 0.5)


@settings(max_examples=150, deadline=None)
@given(
    how=dialects,
    rows=st.lists(st.tuples(*[st.none() | floats] * 3), min_size=1, max_size=12),
    step=st.sampled_from([0.1524, 0.5, 1.0]),
)
def test_every_dialect_gives_the_same_numbers(tmp_path_factory, how, rows, step):
    path = tmp_path_factory.mktemp("las") / "one.las"
    value = np.array(rows, np.float64).T  # [3, rows]
    depth = 1000 + step * np.arange(len(rows))
    write(path, depth, dict(zip(("GR", "RHOB", "NPHI"), value, strict=True)), how)
    (well,) = read_wells(path, Reading(("nphi", "GR")))
    assert well.name == "Süd 1"
    np.testing.assert_allclose(well.depth, depth, rtol=1e-12)
    np.testing.assert_array_equal(well.value, value[[2, 0]])


@pytest.mark.parametrize("case", sorted(p.name for p in CASES.glob("las_*")) or ["las_control"])
def test_files_that_people_have(case, capfd, caplog):
    if not CASES.exists():
        pytest.skip("../shared/cases is not here")
    source = WellLog(curves=CASES / case / "curves", pool=2, test=2)
    if case in REFUSED:
        with pytest.raises(BadInput, match=REFUSED[case]) as error:
            source.open()
        assert "\n" not in str(error.value)
        return
    opened = source.open()
    assert {opened.well(id) for id in (*opened.pool, *opened.test)} == {"A-1", "B-1"}
    for id in (*opened.pool, *opened.test):
        assert {0, 1, 2} == set(np.unique(opened.mask(id))), "both curves are drawn"
    (well,) = [w for w in read_wells(source.curves, Reading(source.columns)) if w.name == "B-1"]
    assert well.depth.shape == (400,)
    assert np.nanmin(well.value[0]) > 1.9
    assert np.nanmax(well.value[0]) < 3
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_values_that_touch_and_those_that_say_nothing(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth[:4], {"GR": gamma[:4], "SP": -gamma[:4]})
    lines = file.read_text().splitlines()
    lines[-4:] = ["1000.00-999.25-999.25", "1000.50 ***** 1.#QNAN", "1001.00 (null) -", "1001.50 1.5D1 -1E+01"]
    file.write_text("\n".join(lines))
    _, value = read(file, "GR", "SP")
    np.testing.assert_array_equal(value, [[np.nan] * 3 + [15], [np.nan] * 3 + [-10]])
    refused(file, r"text in GR: '\*\*\*\*\*' at a depth of 1000.50", "GR", missing=Missing(common=False))


def test_text_beside_numbers(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth[:3], {"GR": gamma[:3], "LITH": gamma[:3]}, Dialect(delimiter=","))
    lines = file.read_text().splitlines()
    lines[-3:] = ['1000,1.5,"SAND, GREY"', "1000.5,2.5,CLAY 1_2", '1001,3.5,""']
    file.write_text("\n".join(lines))
    np.testing.assert_array_equal(read(file, "GR")[1][0], [1.5, 2.5, 3.5])
    refused(file, "text in LITH: 'SAND, GREY' at a depth of 1000; give curves of numbers", "LITH")


def test_a_curve_that_is_not_there(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth, {"GR": gamma, "XRHOB": gamma})
    refused(file, "no curve 'RHOB'; it has DEPT, GR, XRHOB; did you mean XRHOB", "RHOB")


def test_aliases(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth, {"GAM": gamma, "DEN": gamma + 1, "RHOZ": gamma + 2, "XR": gamma + 3})
    np.testing.assert_array_equal(read(file, "GR")[1][0], gamma)
    np.testing.assert_array_equal(read(file, "rhoz")[1][0], gamma + 2)
    refused(file, "has DEN and RHOZ, and each may be 'RHOB'; name one", "RHOB")
    own = parse_aliases(["rhob=XR", "RHOB = other, third"])
    assert own == {"RHOB": ("XR", "OTHER", "THIRD")}
    np.testing.assert_array_equal(read(file, "RHOB", aliases=own)[1][0], gamma + 3)
    refused(file, "has DEN and XR", "RHOB", aliases=parse_aliases(["RHOB=XR,DEN"]))
    refused(file, "--source.aliases PEF=NAME", "PEF")
    np.testing.assert_array_equal(read(file, "DEN", aliases=own)[1][0], gamma + 1)
    for word in ("RHOB", "=X", "A=", "A=,B", "A=B=C"):
        with pytest.raises(BadInput, match="is not NAME=OTHER,OTHER"):
            parse_aliases([word])
    with pytest.raises(BadInput, match="is not NAME=OTHER"):
        WellLog(curves=file, aliases=("RHOB:DEN",)).open()


def test_a_mnemonic_is_of_one_family():
    names = [n for family in BUILT_IN.values() for n in family]
    assert len(names) == len(set(names))
    assert all(n == n.upper() for n in names)


def test_twins(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth, {"GR": gamma, "RHOB": gamma + 1, "rhob ": gamma + 2})
    refused(file, "has RHOB:1 and RHOB:2", "RHOB")
    np.testing.assert_array_equal(read(file, "RHOB:2", "gr:1")[1], [gamma + 2, gamma])


def test_nulls(tmp_path, depth, gamma):
    mixed = gamma.copy()
    mixed[[3, 4, 9, 11]] = [-999.25, -9999, -999, 1e30]
    file = write(tmp_path / "a.las", depth, {"GR": mixed}, Dialect(null=None))
    assert np.flatnonzero(np.isnan(read(file, "GR")[1][0])).tolist() == [3, 4, 9, 11]
    strict = Missing(common=False)
    refused(
        file, "GR of well Süd 1 in .* is -999.25 at a depth of 1001.5 and as far off in 3 more rows", missing=strict
    )
    also = Missing(common=False, also=(-999.25, -9999.0, -999.0))
    refused(file, r"is 1e\+30 at a depth of 1005.5, far .*--source.also-null 1e\+30", missing=also)
    own = write(tmp_path / "b.las", depth, {"GR": np.where(gamma > 80, 0.0, gamma)}, Dialect(null="0"))
    np.testing.assert_array_equal(np.isnan(read(own, "GR", missing=strict)[1][0]), gamma > 80)
    zero = write(tmp_path / "c.las", depth - 1000, {"GR": gamma}, Dialect(null="0"))
    assert read(zero, "GR")[0][0] == 0, "a depth is not missing because its value is a null of the curves"


@pytest.mark.parametrize("null", COMMON)
def test_what_others_write_for_missing(tmp_path, depth, gamma, null):
    file = write(tmp_path / "a.las", depth, {"GR": np.where(gamma > 80, null, gamma)}, Dialect(null="-1"))
    np.testing.assert_array_equal(np.isnan(read(file, "GR")[1][0]), gamma > 80)


@pytest.mark.parametrize("value", [9999.0, -9998.0, 1e6, -5000.0, 99999.0, 32767.0])
@pytest.mark.parametrize("rows", [[7], [7, 8, 30]])
@pytest.mark.parametrize(("centre", "spread"), [(75, 20), (2.3, 0.2), (0.2, 0.1), (0, 0), (8.5, 0), (2300, 150)])
def test_far_outliers_are_named(tmp_path, depth, value, rows, centre, spread):
    curve = centre + spread * np.sin(depth)
    curve[rows] = value
    file = write(tmp_path / "a.las", depth, {"X": curve, "GR": curve * 0})
    refused(file, f"X of well Süd 1 in .* is {value:.10g} at a depth of 1003.5".replace("+", r"\+"), "X")
    clean = read(file, "X", missing=Missing(also=(value,)))[1][0]
    assert np.flatnonzero(np.isnan(clean)).tolist() == rows
    assert np.isfinite(read(file, "GR")[1]).all(), "what is not drawn is not judged"


def test_measurements_are_no_outliers(tmp_path):
    rng = np.random.default_rng(0)
    depth = 0.1524 * np.arange(5000)
    resistivity = 10 ** rng.normal(0.3, 0.8, depth.size).clip(-2, 3.6)
    bit = np.repeat([660.0, 445.0, 311.0, 216.0], 1250)
    file = write(tmp_path / "a.las", depth, {"RT": resistivity, "BS": bit})
    np.testing.assert_array_equal(read(file, "RT", "BS")[1], [resistivity, bit])


@pytest.mark.skipif(not REAL.exists(), reason="force2020_curves.npz is not in ../shared/data")
def test_nothing_measured_in_thirty_wells_is_refused_or_moved():
    with np.load(REAL) as file:
        columns, data, start, stop = (file[k] for k in ("columns", "data", "start", "stop"))
    for first, second in zip(columns[1::2], columns[2::2], strict=True):
        wells = read_wells(REAL, Reading((str(first), str(second))))
        i = list(columns).index(first)
        for well, a, b in zip(wells, start, stop, strict=True):
            np.testing.assert_array_equal(well.value, data[a:b, i : i + 2].T)


def test_gaps_in_depth_are_rows_without_values(tmp_path, depth, gamma):
    keep = np.r_[0:15, 17:30, 39]
    file = write(tmp_path / "a.las", depth[keep], {"GR": gamma[keep]})
    (well,) = read_wells(file, Reading(("GR", "GR")))
    np.testing.assert_allclose(well.depth, depth)
    np.testing.assert_array_equal(np.isnan(well.value[0]), ~np.isin(np.arange(40), keep))
    assert starts(well, 14, present=1.0).tolist() == [0, 1], "no window spans a gap"


def test_a_change_of_step_is_no_gap(tmp_path):
    depth = np.concatenate([np.arange(0, 50, 0.5), np.arange(50, 60, 0.1)])
    file = write(tmp_path / "a.las", depth, {"GR": np.sin(depth)})
    np.testing.assert_array_equal(read(file, "GR")[0], depth)


def test_a_depth_that_cannot_be(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", np.r_[depth[:-1], 1e9], {"GR": gamma})
    refused(file, r"jumps from 1019 to 1000000000, where its step is 0.5")
    refused(write(tmp_path / "b.las", np.r_[depth[:-1], 1005.25], {"GR": gamma}), "do not increase at 1005.25")
    rows = write(tmp_path / "c.las", depth, {"GR": gamma})
    edit(rows, "\n1003.0 ", "\n-999.25 ")
    np.testing.assert_allclose(read(rows, "GR")[0], depth)
    assert np.isnan(read(rows, "GR")[1][0, 6]), "a row that lies nowhere is left out, and its place is a gap"


def metres(tmp_path, unit: str, start: str, name: str = "DEPT", step: float = 1.0) -> float:
    """How many metres one unit of the depth of a file is."""
    file = write(tmp_path / "u.las", 100 + step * np.arange(9), {"GR": np.arange(9.0)})
    edit(edit(file, "STRT.M", f"STRT.{start}"), " DEPT.M ", f" {name}.{unit} ")
    return read(file, "GR")[0][0] / 100


@pytest.mark.parametrize(
    ("unit", "scale"),
    [
        *(("M", 1), ("m", 1), ("METRES", 1), ("F", 0.3048), ("ft", 0.3048), ("FEET", 0.3048), ("FT.", 0.3048)),
        *((".1IN", 0.00254), ("CM", 0.01)),
    ],
)
def test_units_of_depth(tmp_path, unit, scale):
    assert metres(tmp_path, unit, "") == pytest.approx(scale)
    assert metres(tmp_path, unit, unit) == pytest.approx(scale)
    assert metres(tmp_path, "", unit) == pytest.approx(scale), "where the curve has no unit, STRT may"


def test_units_by_name_and_step(tmp_path):
    assert metres(tmp_path, "", "", "DEPTH_FT") == pytest.approx(0.3048)
    assert metres(tmp_path, "", "", "DEPT_M", 0.5) == pytest.approx(1)
    assert metres(tmp_path, "", "", step=0.5) == pytest.approx(0.3048)
    assert metres(tmp_path, "", "", step=0.1524) == pytest.approx(1)
    assert metres(tmp_path, "", "") == pytest.approx(1)
    with pytest.raises(BadInput, match="says M for its curve of depth and F for STRT, and both begin at 100"):
        metres(tmp_path, "M", "F")
    with pytest.raises(BadInput, match=r"indexed by time \(TIME, S"):
        metres(tmp_path, "S", "S", "TIME")
    with pytest.raises(BadInput, match="in 'PARSEC', which is neither metres nor feet"):
        metres(tmp_path, "PARSEC", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \r\n\x1a", "is empty"),
        (b"hello", "no section"),
        (b"LASF\x00\x00\x01\x02", "lidar"),
        (b"~V\n\x00\x01\x02\x03", "no text"),
        (b"\xff\xfe~V\n", "no text|no section"),
        (b"~V\n VERS. 2.0 :\n~A\n1 2\n", "names no curves"),
        (b"~V\n VERS. 2.0 :\n~C\n DEPT.M :\n GR. :\n", "no rows of data"),
        (b"~V\n VERS. 2.0 :\n~C\n DEPT.M :\n GR. :\n~A\n1 2\n~A\n3 4\n", "holds 2 logs .~A and ~A"),
        (b"~V\n~C\n DEPT.M :\n GR. :\n~A\n1 2\n2 3 4\n", "line 7 of .* has 3 values, and .* names 2 curves .DEPT, GR"),
        (b"~V\n~C\n DEPT.M :\n GR. :\n~A\n-999.25 2\n", "no rows of data with a depth"),
        (b"~V\n~C\n DEPT.M :\n nothing\n GR. :\n~A\n1 2 3\n", "3 lines in its ~Curve section, of which 2"),
        (b"~V\n~C\n DEPT.M :\n GR. :\n~A\n1 2\nB 3\n", "text in DEPT: 'B'"),
        (b"~V\n~Log_Definition[1]\n D.M :\n GR. :\n~Log_Data[1]\n1 2\n~Log_Definition[2]\n D.M :\n", "2 logs"),
        (b"~V\n WRAP. YES :\n~C\n DEPT.M :\n GR. :\n RT. :\n~A\n1\n2 3\n2\n2\n", "line"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.las"
    path.write_bytes(content)
    refused(path, message)


def test_a_line_of_titles_and_a_section_that_begins_alike(tmp_path, depth, gamma):
    file = write(tmp_path / "a.las", depth, {"GR": gamma})
    edit(file, "~A\n", "~Core samples\n SAMPLE. 3 :\n~A\nDEPT GR\n")
    np.testing.assert_array_equal(read(file, "GR")[1][0], gamma)


def test_wells_without_a_name_are_told_by_their_file(tmp_path, depth, gamma):
    for version in ("1.20", "2.0"):
        write(tmp_path / "a.las", depth, {"GR": gamma}, Dialect(version=version), well="")
        assert read_wells(tmp_path / "a.las", Reading(("GR", "GR")))[0].name == "a"
    edit(write(tmp_path / "b.las", depth, {"GR": gamma}), "WELL. Süd 1 : WELL", "WELL. WELL : 15/9-F-1  A")
    assert read_wells(tmp_path / "b.las", Reading(("GR", "GR")))[0].name == "15/9-F-1 A"


def test_nothing_that_lasio_says_reaches_the_user(tmp_path, depth, gamma, capfd):
    file = edit(write(tmp_path / "a.las", depth, {"GR": gamma}, Dialect(wrap=1)), " NULL.", " so it goes\n NULL.")
    level = logging.getLogger("lasio").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(file, "GR")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lasio").level == level


@pytest.mark.parametrize("how", [PLAIN, Dialect(delimiter=","), Dialect(wrap=4), Dialect(comma=True)])
def test_a_long_file_is_read_in_time_that_grows_as_it_does(tmp_path, how):
    rng = np.random.default_rng(0)
    names = [f"C{k}" for k in range(9)]
    calls = []
    for rows in (400, 1600):
        depth = 1000 + 0.1524 * np.arange(rows)
        columns = dict(zip(names, rng.random((9, rows)).round(4), strict=True))
        file = write(tmp_path / f"{rows}.las", depth, columns, how)
        calls.append(count_calls(lambda file=file: read(file, "C3", "C8")))
    assert calls[1] < 6 * calls[0], "Python calls for four times as many rows"


def count_calls(action) -> int:
    """How many functions are called, of Python's and of C's: the same on every machine, however busy."""
    count = 0

    def watch(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def longest_without_ink(mask: np.ndarray) -> int:
    """The most columns from one that has ink of a curve to the next that has."""
    inked = np.flatnonzero((mask > 0).any(axis=0))
    return int(np.diff(inked).max())


def test_nothing_is_drawn_across_a_gap(tmp_path):
    depth = 1000 + 0.5 * np.arange(1200)
    curve = 0.5 + 0.4 * np.sin(depth / 7)
    missing = np.arange(1200) % 40 < 3  # of 41 samples that an image shows
    whole, jumps, nulls = tmp_path / "whole", tmp_path / "jumps", tmp_path / "nulls"
    for folder in (whole, jumps, nulls):
        folder.mkdir()
    for name in ("a", "b"):
        write(whole / f"{name}.las", depth, {"GR": curve, "SP": curve}, well=name)
        write(jumps / f"{name}.las", depth[~missing], {"GR": curve[~missing], "SP": curve[~missing]}, well=name)
        empty = np.where(missing, np.nan, curve)
        write(nulls / f"{name}.las", depth, {"GR": empty, "SP": empty}, well=name)
    longest = {}
    for folder in (whole, jumps, nulls):
        look = {"preset": "clean", "dashed": "none", "header": 0.0, "labels": 0.0}
        source = WellLog(curves=folder, columns=("GR", "SP"), pool=8, test=2, **look).open()
        longest[folder.name] = [longest_without_ink(source.mask(id)) for id in source.pool]
    assert max(longest["whole"]) == 1
    assert min(np.median(longest["jumps"]), np.median(longest["nulls"])) > 8


def test_a_text_without_end_is_no_value(tmp_path):
    """It was more than the reader of tables takes, which said so in a traceback."""
    rows = "".join(f'{100 + 0.5 * n},"{"9" * (200_000 if n == 3 else 2)}",0.2\n' for n in range(9))
    head = "~V\n VERS. 2.0 :\n WRAP. NO :\n~W\n NULL. -999 :\n WELL. W1 :\n~C\n DEPT.M :\n RHOB. :\n NPHI. :\n~A\n"
    path = tmp_path / "w.las"
    path.write_text(head + rows)
    with pytest.raises(BadInput, match=r"w\.las has text in DEPT: .*give curves of numbers"):
        read_wells(path, Reading(("RHOB", "NPHI")))
