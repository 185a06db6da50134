/* Many packets with one call from Python: read and parse, or write, on a TUN descriptor. */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wire.h"

/* struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset */
enum {
    VNET_HEADER = 10,
    VNET_NEEDS_CSUM = 1,
    VNET_DATA_VALID = 2,
    VNET_GSO_TCPV4 = 1,
    VNET_GSO_TCPV6 = 4,
    VNET_GSO_ECN = 0x80,
    SLOT_HEADROOM = 16,
    ENOUGH = 192 * 1024, /* octets: about what stays in a core's cache until it is copied out */
};

static int parse_slot(const uint8_t *arena, uint32_t start, uint32_t n, int vnet,
                      uint8_t *records, uint32_t index)
{
    const uint8_t *vnet_header = arena + start - VNET_HEADER;
    uint16_t gso_size = 0;
    int state = CHECKSUM_COMPLETE, gso_type;

    if (!vnet)
        return parse(arena, start, n, state, 0, records, index);
    if (n < VNET_HEADER)
        return parse(arena, start, 0, state, 0, records, index);
    if (vnet_header[0] & VNET_NEEDS_CSUM)
        state = CHECKSUM_PARTIAL;
    else if (vnet_header[0] & VNET_DATA_VALID)
        state = CHECKSUM_VALID;
    gso_type = vnet_header[1] & ~VNET_GSO_ECN;
    if (gso_type == VNET_GSO_TCPV4 || gso_type == VNET_GSO_TCPV6)
        memcpy(&gso_size, vnet_header + 4, 2);
    return parse(arena, start, n - VNET_HEADER, state, gso_size, records, index);
}

int read_batch(int fd, uint8_t *arena, uint32_t slot_size, uint32_t slots, int vnet,
               uint8_t *records)
{
    uint32_t i, total = 0, before = vnet ? VNET_HEADER : 0;

    if (slot_size <= SLOT_HEADROOM)
        return -EINVAL;
    for (i = 0; i < slots && total < ENOUGH; i++) {
        uint32_t start = i * slot_size + SLOT_HEADROOM;
        ssize_t n;

        do
            n = read(fd, arena + start - before, slot_size - SLOT_HEADROOM + before);
        while (n < 0 && errno == EINTR);
        if (n < 0 && i == 0 && errno != EAGAIN)
            return -errno;
        if (n <= 0)
            break;
        parse_slot(arena, start, (uint32_t)n, vnet, records, i);
        total += (uint32_t)n;
    }
    return (int)i;
}

static void vnet_header(const uint8_t *ip, const struct tx_record *tx, uint8_t *to)
{
    uint16_t fields[4] = {0, 0, 0, 0}; /* hdr_len, gso_size, csum_start, csum_offset */
    struct layout at;
    uint32_t header;

    memset(to, 0, VNET_HEADER);
    if ((tx->checksum_state != CHECKSUM_PARTIAL && tx->gso_size == 0) ||
        locate(ip, tx->length, &at) || at.fragment)
        return;
    header = tcp_header(ip, &at);
    if (tx->checksum_state == CHECKSUM_PARTIAL && (header || at.protocol == IPPROTO_UDP)) {
        to[0] = VNET_NEEDS_CSUM;
        fields[2] = (uint16_t)at.upper;
        fields[3] = header ? 16 : 6;
    }
    if (header && tx->gso_size && at.end - at.upper - header > tx->gso_size) {
        to[1] = at.version == 4 ? VNET_GSO_TCPV4 : VNET_GSO_TCPV6;
        if (ip[at.upper + 13] & CWR)
            to[1] |= VNET_GSO_ECN; /* CWR on the first piece only */
        fields[0] = (uint16_t)(at.upper + header);
        fields[1] = tx->gso_size;
    }
    memcpy(to + 2, fields, 8);
}

int write_batch(int fd, uint8_t *arena, const uint8_t *records, uint32_t first, uint32_t count,
                int vnet)
{
    uint8_t header[VNET_HEADER];
    struct iovec parts[2] = {{header, VNET_HEADER}, {NULL, 0}};
    uint32_t i;

    for (i = 0; i < count; i++) {
        struct tx_record tx;
        ssize_t n;

        memcpy(&tx, records + (size_t)(first + i) * sizeof tx, sizeof tx);
        if (vnet)
            vnet_header(arena + tx.start, &tx, header);
        else if (tx.checksum_state == CHECKSUM_PARTIAL)
            complete_checksum(arena, tx.start, tx.length);
        parts[1].iov_base = arena + tx.start;
        parts[1].iov_len = tx.length;
        do
            n = vnet ? writev(fd, parts, 2) : writev(fd, parts + 1, 1);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return i ? (int)i : -errno;
    }
    return (int)count;
}
