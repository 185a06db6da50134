/* Shared by the C files: the packed record, big-endian loads and stores, where a packet's parts
 * lie. consts.h is made from pystack/wire/consts.py by the build. */
#ifndef PYSTACK_WIRE_H
#define PYSTACK_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "consts.h"
#include "interface.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "this machine is big-endian: set PYSTACK_PURE=1 to use the Python codec instead"
#endif

/* pystack/wire/segment.py: RECORD, little-endian, 128 bytes */
struct record {
    uint8_t key[36];
    uint8_t kind, reason, version, protocol;
    uint32_t start, end, upper, payload_offset, length, seq, ack;
    uint16_t flags, wnd, urgent, gso_size, mss;
    int8_t wscale;
    uint8_t options;
    uint32_t tsval, tsecr;
    uint8_t tos, ttl, n_sack, checksum_state;
    uint8_t unused[4];
    uint32_t sack[8];
};
_Static_assert(sizeof(struct record) == 128, "record size");
_Static_assert(offsetof(struct record, sack) == 96, "offset of the SACK edges");

/* pystack/wire/batch.py: TX_RECORD */
struct tx_record {
    uint32_t start, length;
    uint16_t gso_size, checksum_state;
};
_Static_assert(sizeof(struct tx_record) == 12, "transmit record size");

/* Where the parts of a packet lie, counted from its IP header. */
struct layout {
    uint32_t upper, end;
    uint8_t version, protocol, fragment;
};

/* Fills `at` from the IP headers of the `length` octets at `ip`; 0 or a DROP_ reason. */
int locate(const uint8_t *ip, uint32_t length, struct layout *at);

/* The header length of the TCP segment that `at` found, 0 when there is none. */
uint32_t tcp_header(const uint8_t *ip, const struct layout *at);

/* Not complemented 16-bit sums: of octets, and of the pseudo-header of `length` octets. */
uint32_t sum16(const uint8_t *p, uint32_t n);
uint32_t pseudo_sum(const uint8_t *ip, const struct layout *at, uint32_t length);

static inline uint16_t load16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline void store16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline uint32_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffffffffu) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint32_t)((sum & 0xffff) + (sum >> 16));
}

#endif
