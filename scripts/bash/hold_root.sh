# shellcheck shell=bash
# Run by scripts/fresh-root as the first process of new namespaces: makes a folder their root and
# holds it until it is killed. $1: the folder.
set -eu

mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/net dev/pts dev/shm old
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
mknod -m 666 dev/net/tun c 10 200 # as Debian's udev makes it
hostname fresh
echo "127.0.0.1 localhost fresh" >etc/hosts
echo "nameserver 10.0.2.3" >etc/resolv.conf # slirp4netns answers there
ip link set lo up
pivot_root . old # not chroot: within one no user namespace may be made
cd /
umount -l old
rmdir old
: >/run/ready
while read -r -t 3600 _ || true; do :; done <> <(:) # nothing ever comes
