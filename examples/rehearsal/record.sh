#!/usr/bin/env bash
# Records the rehearsal with `kestrel record`, as the captures in examples/captures were.
#
#   sudo examples/rehearsal/record.sh OUTPUT.ndjson.gz [--ordinary]
#
# The process connector sees the whole host. So that a capture has the rehearsal and nothing
# else, the source follows one process and what it starts (`root_pid`); the recorder has a
# host name and machine id of its own (a UTS namespace, and a file mounted over /etc/machine-id),
# so that the capture does not name the host it was made on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
KESTREL=${KESTREL:-$(command -v kestrel || echo "$here/../../.venv/bin/kestrel")}

if [ $# -lt 1 ]; then
    echo "usage: $0 OUTPUT.ndjson.gz [--ordinary]" >&2
    exit 2
fi
if [ "${RECORD_STAGE-}" != set ]; then
    output=$(realpath -m "$1")
    shift
    exec env RECORD_STAGE=set KESTREL="$KESTREL" \
        unshare --mount --uts -- bash "$here/record.sh" "$output" "$@"
fi
output=$1
shift

hostname demo-host
stage=/opt/rehearsal
mount -t tmpfs -o mode=755 rehearsal /opt
mkdir "$stage"
mkfifo "$stage/begin" "$stage/played" "$stage/end"
cp "$here/rehearsal.sh" "$stage/rehearsal.sh"
printf '%s\n' 00000000000000000000000000000001 > "$stage/machine-id"
mount --bind "$stage/machine-id" /etc/machine-id

cat > "$stage/stage.sh" << 'STAGE'
read -r _ < /opt/rehearsal/begin
bash /opt/rehearsal/rehearsal.sh "$@"
echo played > /opt/rehearsal/played
read -r _ < /opt/rehearsal/end
STAGE
(cd / && exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin sh "$stage/stage.sh" "$@") &
actors=$!
trap 'kill "$actors" 2> /dev/null || true' EXIT # where the recorder fails, nobody waits for ever

# A process that lives for a millisecond is seen whole only by a recorder that never waits.
chrt --fifo 10 "$KESTREL" record --source proc-events --set "sources.proc-events.root_pid=$actors" \
    --output "$stage/capture.ndjson" &
recorder=$!

sleep 2 # the recorder reads the processes that exist
echo begin > "$stage/begin"
read -r _ < "$stage/played"
sleep 1
kill -INT "$recorder"
wait "$recorder"
echo end > "$stage/end"
wait "$actors"
gzip -9 -n -c "$stage/capture.ndjson" > "$output"
