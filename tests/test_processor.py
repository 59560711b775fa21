"""The name and kind of the CPU, as reported by Linux."""

from __future__ import annotations

import pytest

from featx.engines import processor
from featx.engines.processor import processor_kind, processor_name


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Return a function that replaces the content of /proc/cpuinfo."""

    def put(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(processor, "Path", lambda name: tmp_path / "cpuinfo")
        processor_name.cache_clear()
        processor_kind.cache_clear()

    yield put
    monkeypatch.undo()
    processor_name.cache_clear()
    processor_kind.cache_clear()


def test_one_name_may_have_several_kinds(cpuinfo):
    """Instruction sets have a fixed order, irrelevant ones are left out, and only the first core is read."""
    kinds = set()
    for flags in ("fpu avx2 avx sse", "fpu avx avx2 avx512_bf16 avx512f"):
        cpuinfo(f"processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: {flags}\n\nprocessor\t: 1\nmodel name\t: other\n")
        assert processor_name() == "AMD EPYC"
        kinds.add(processor_kind())
    assert kinds == {"AMD EPYC avx avx2", "AMD EPYC avx avx2 avx512f avx512_bf16"}


def test_arm_lists_instruction_sets_as_features(cpuinfo):
    cpuinfo("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd bf16 sve\n")
    assert processor_kind().endswith(" asimd sve bf16")
