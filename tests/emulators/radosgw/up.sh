#!/bin/sh
# An S3 server that keeps versions, locks objects and lets one of many writers win: Ceph's gateway over a monitor and one
# store in memory, all of them on loopback and in one scratch folder.
#
#   up.sh FOLDER GATEWAY_PORT MONITOR_PORT MONITOR_PORT_OLD ACCESS_KEY SECRET_KEY
#
# Prints "ready" once the gateway is about to answer. Ends, with everything it started, when its standard input is closed: whoever
# started it may die in any way.
set -eu

folder=$1 gateway=$2 monitor=$3 monitor_old=$4 access=$5 secret=$6
# However badly things go, nothing stays for longer than this.
lifetime=3600

mkdir -p "$folder/run" "$folder/log" "$folder/mon" "$folder/osd" "$folder/rgw"
cd "$folder"
exec 2>log/up.log

cat >ceph.conf <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon host = [v2:127.0.0.1:$monitor,v1:127.0.0.1:$monitor_old]
public network = 127.0.0.0/8
# Without authentication the gateway never gets through to the store.
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
keyring = $folder/keyring
run dir = $folder/run
admin socket = $folder/run/\$name.asok
pid file = $folder/run/\$name.pid
log file = $folder/log/\$name.log
mon data = $folder/mon
mon data avail crit = 1
mon allow pool size one = true
osd data = $folder/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
rgw data = $folder/rgw
rgw frontends = beast endpoint=127.0.0.1:$gateway
rgw thread pool size = 32
rgw crypt require ssl = false
CONF
export CEPH_CONF="$folder/ceph.conf"

started=
end() {
    trap - EXIT TERM INT HUP
    for pid in $started; do
        kill "$pid" 2>/dev/null || true
    done
    wait
}
trap end EXIT
trap 'exit 1' TERM INT HUP

# Runs a daemon in the background.
start() {
    timeout --kill-after=5 "$lifetime" "$@" >>log/daemons.log 2>&1 </dev/null &
    started="$! $started"
}

# Tries a command until it works, for a minute.
until_it_works() {
    tries=0
    until "$@" >>log/tries.log 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 240 ] || { echo "gave up on: $*" >&2; exit 1; }
        sleep 0.25
    done
}

ceph-authtool --create-keyring keyring --gen-key --name mon. --cap mon 'allow *' >/dev/null
for name in client.admin osd.0; do
    ceph-authtool keyring --gen-key --name "$name" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
done
fsid=$(sed -n 's/^fsid = //p' ceph.conf)
monmaptool --create --addv a "[v2:127.0.0.1:$monitor,v1:127.0.0.1:$monitor_old]" --fsid "$fsid" monmap >/dev/null
# The monitor takes the keys of everybody else from here.
ceph-mon --mkfs --id a --monmap monmap --keyring keyring
start ceph-mon --foreground --id a
until_it_works timeout 20 ceph osd create
ceph-osd --mkfs --id 0
start ceph-osd --foreground --id 0
start radosgw --foreground --name client.admin
until_it_works timeout 60 radosgw-admin user create --uid holdfast --display-name Holdfast \
    --access-key "$access" --secret-key "$secret"
echo ready
# Nothing is ever written to it: this waits for it to be closed.
cat >/dev/null
