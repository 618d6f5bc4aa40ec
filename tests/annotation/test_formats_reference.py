"""Our codecs against the packages of those who made the formats, in an environment of their own: both ways, exactly."""

from __future__ import annotations

import json
import subprocess

import numpy as np
import pytest
from environments import REFERENCES, environment
from painting import CLASSES

from bal.annotation.entries import Entry
from bal.annotation.formats import FORMATS, _rle as rle
from bal.annotation.formats._files import file_of, unsure
from bal.annotation.formats.base import Task

pytestmark = pytest.mark.slow

SIZE = (24, 19)


def masks():
    """25 masks: empty, full, single pixels, curves of one pixel, noise."""
    rng, found = np.random.default_rng(0), [np.zeros(SIZE, bool), np.ones(SIZE, bool)]
    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1), (11, 7)):
        found.append(np.zeros(SIZE, bool))
        found[-1][row, column] = True
    for k in range(6):
        found.append(np.zeros(SIZE, bool))
        found[-1][np.arange(SIZE[0]), np.abs(rng.integers(-1, 2, SIZE[0]).cumsum()) % SIZE[1]] = True
        found[-1] = found[-1].T.copy().reshape(SIZE) if k % 2 else found[-1]
    found += [rng.random(SIZE) < share for share in np.linspace(0.02, 0.98, 12)]
    return found


@pytest.fixture(scope="module")
def ask(pytestconfig, tmp_path_factory):
    """Runs some lines in the other environment; what they leave in `answer`, of what is given as `given`."""
    programs = environment(pytestconfig, "reference", REFERENCES)
    folder = tmp_path_factory.mktemp("reference")

    def run(lines, given):
        (folder / "given.json").write_text(json.dumps(given))
        head = "import json, numpy as np\ngiven = json.load(open('given.json'))\n"
        (folder / "ask.py").write_text(f"{head}{lines}\njson.dump(answer, open('answer.json', 'w'))\n")
        done = subprocess.run([programs / "python", "ask.py"], cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads((folder / "answer.json").read_text())

    return run


def test_the_masks_are_25():
    assert len(masks()) == 25
    assert len({mask.tobytes() for mask in masks()}) == 25


def test_coco_agrees_with_pycocotools(ask):
    theirs = ask(
        "from pycocotools import mask as m\n"
        "encode = lambda a: m.encode(np.asfortranarray(np.array(a, np.uint8)))['counts'].decode()\n"
        "decode = lambda c: m.decode({'size': given['size'], 'counts': c.encode()}).tolist()\n"
        "plain = lambda c: m.decode(m.frPyObjects({'size': given['size'], 'counts': c}, *given['size'])).tolist()\n"
        "answer = {'codes': [encode(a) for a in given['masks']], 'masks': [decode(c) for c in given['codes']],"
        " 'plain': [plain(c) for c in given['plain']]}",
        {
            "size": SIZE,
            "masks": [mask.tolist() for mask in masks()],
            "codes": [rle.to_coco(mask) for mask in masks()],
            "plain": [rle.runs(mask.ravel("F")).tolist() for mask in masks()],
        },
    )
    assert theirs["codes"] == [rle.to_coco(mask) for mask in masks()]
    for mask, code, read, plain in zip(masks(), theirs["codes"], theirs["masks"], theirs["plain"], strict=True):
        np.testing.assert_array_equal(rle.from_coco(code, *SIZE), mask)
        np.testing.assert_array_equal(np.array(read, bool), mask)
        np.testing.assert_array_equal(np.array(plain, bool), mask)


def test_brushes_agree_with_the_sdk_of_label_studio(ask):
    theirs = ask(
        "from label_studio_sdk.converter import brush\n"
        "encode = lambda a: brush.mask2rle(np.array(a, np.uint8) * 255)\n"
        "decode = lambda c: brush.decode_rle(c).reshape(*given['size'], 4)[..., 3].tolist()\n"
        "answer = {'codes': [encode(a) for a in given['masks']], 'masks': [decode(c) for c in given['codes']]}\n",
        {"size": SIZE, "masks": [mask.tolist() for mask in masks()], "codes": [rle.to_brush(mask) for mask in masks()]},
    )
    for mask, code, read in zip(masks(), theirs["codes"], theirs["masks"], strict=True):
        np.testing.assert_array_equal(rle.from_brush(code, *SIZE), mask)
        np.testing.assert_array_equal(np.array(read) >= 128, mask)


def test_what_goes_to_label_studio_is_a_prediction_that_its_sdk_accepts(ask, package):
    configuration, tasks = configuration_and_tasks(package)
    found = ask(
        "import base64, io\n"
        "from PIL import Image\n"
        "from label_studio_sdk.label_interface import LabelInterface\n"
        "interface = LabelInterface(given['configuration'])\n"
        "predictions = [p for task in given['tasks'] for p in task['predictions']]\n"
        "errors = [interface.validate_prediction(p, return_errors=True) for p in predictions]\n"
        "url = lambda r: r['value']['imageDataURL'].split(',')[1]\n"
        "alpha = lambda r: np.asarray(Image.open(io.BytesIO(base64.b64decode(url(r)))))[..., 3].tolist()\n"
        "read = [{r['value']['bitmasklabels'][0]: alpha(r) for r in p['result']} for p in predictions]\n"
        "answer = {'errors': errors, 'read': read}",
        {"configuration": configuration, "tasks": tasks},
    )
    assert not any(found["errors"]), found["errors"][0]
    for label, read in zip(labels(), found["read"], strict=True):
        assert read.keys() == {CLASSES[v] for v in np.unique(label) if v}
        for name, alpha in read.items():
            np.testing.assert_array_equal(np.array(alpha) >= 128, label == CLASSES.index(name))


def configuration_and_tasks(package):
    out = package("label-studio")
    return (out / "labeling.xml").read_text(), json.loads((out / "tasks.json").read_text())


READ = (
    "from datumaro.components.dataset import Dataset\n"
    "def read(where, how):\n"
    "    dataset = Dataset.import_from(where, how)\n"
    "    names = [c.name for c in dataset.categories()[next(iter(dataset.categories()))].items]\n"
    "    found = {}\n"
    "    for item in dataset:\n"
    "        whole = np.zeros(given['size'], int)\n"
    "        for a in item.annotations:\n"
    "            if a.type.name == 'bbox': continue\n"  # beside its mask
    "            whole[np.asarray(a.image) > 0] = given['classes'].index(names[a.label])\n"
    "        found[item.id.split('/')[-1]] = whole.tolist()\n"
    "    return dataset, found\n"
)


@pytest.mark.parametrize(
    ("name", "how", "more"),
    [("coco", "coco_instances", ", segmentation_mode='mask'"), ("cvat", "cvat", "")],  # else it makes polygons
)
def test_datumaro_reads_what_goes_out_and_what_it_writes_is_read(ask, package, tmp_path, name, how, more):
    out = package(name)
    if name == "coco":  # where it looks for them
        (out / "annotations").mkdir()
        (out / "annotations.json").rename(out / "annotations" / "instances_default.json")
        (out / "images").rename(out / "default")
        (out / "images").mkdir()
        (out / "default").rename(out / "images" / "default")
    found = ask(
        f"{READ}dataset, answer = read(given['out'], given['how'])\n"
        f"dataset.export(given['again'], given['how'], save_media=True{more})\n",
        {
            "out": str(out),
            "again": str(tmp_path / "again"),
            "how": how,
            "size": SIZE,
            "classes": [*CLASSES, unsure(CLASSES)],
        },
    )
    for entry, label in zip(entries().values(), labels(), strict=True):
        np.testing.assert_array_equal(np.array(found[file_of(entry)]), label)
    assert FORMATS[name].recognises(tmp_path / "again")
    came = {answer.id: answer.label for answer in FORMATS[name].read(tmp_path / "again", entries(), CLASSES)}
    assert came.keys() == entries().keys()
    for id, label in zip(entries(), labels(), strict=True):
        np.testing.assert_array_equal(came[id], label)


def labels():
    """A label of two classes from each mask and the one before."""
    found = masks()
    return [np.where(one, 1, 2 * two).astype(np.uint8) for one, two in zip(found, [found[-1], *found], strict=False)]


def entries():
    """The questions that they answer."""
    box = (0, 0, *SIZE)
    made = [
        Entry(f"r01-{k:04d}", "a", SIZE, "0", k, box, box, "random", None, 1, 0.5, classes=CLASSES) for k in range(25)
    ]
    return {entry.id: entry for entry in made}


@pytest.fixture
def package(tmp_path):
    """What goes out in a format, with the labels as predictions."""

    def make(name):
        out, rng = tmp_path / "out", np.random.default_rng(1)
        out.mkdir()
        view = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        tasks = [Task(entry, view, label, 0.5) for entry, label in zip(entries().values(), labels(), strict=True)]
        FORMATS[name].write(tasks, CLASSES, out)
        return out

    return make
