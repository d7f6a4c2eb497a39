"""Container ids, on control groups as the runtimes name them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_ebpf.control_group import container_id

ID = "3f1c" * 16
OTHER = "a0b9" * 16


@pytest.mark.parametrize(
    "control_groups",
    [
        f"12:memory:/docker/{ID}\n11:pids:/docker/{ID}\n0::/system.slice/containerd.service\n",
        f"0::/system.slice/docker-{ID}.scope\n",
        f"0::/docker/{ID}\n",
        f"0::/machine.slice/libpod-{ID}.scope/container\n",
        f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope\n",
        f"5:cpu:/libpod_parent/libpod-{ID}\n",
        f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c.slice/cri-containerd-{ID}.scope\n",
        f"4:devices:/kubepods/besteffort/pod0a1b2c3d-0000-1111-2222-333344445555/{ID}\n",
        f"0::/kubepods.slice/kubepods-pod1.slice/crio-{ID}.scope\n",
        f"0::/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:{ID}\n",
        f"0::/docker/{OTHER}/docker/{ID}\n",
        f"0::/../../docker-{ID}.scope\n",
        f"0::/docker/{ID}/system.slice/cron.service\n",
    ],
)
def test_a_container_is_found(control_groups: str) -> None:
    assert container_id(control_groups) == ID


@pytest.mark.parametrize(
    "control_groups",
    [
        "",
        "0::/\n",
        "0::/init.scope\n",
        "0::/user.slice/user-0.slice/session-4.scope\n",
        f"4:memory:/jobs/{ID[:32]}\n",
        f"0::/docker/{ID}0\n",
        f"0::/docker/{ID.upper()}\n",
        f"0::/x{ID}\n",
        "0::/kubepods.slice/kubepods-pod1b2c.slice\n",
    ],
)
def test_no_container_is_invented(control_groups: str) -> None:
    assert container_id(control_groups) is None


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    found = container_id(text)
    assert found is None or found in text
