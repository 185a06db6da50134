/* From octets to a record: IPv4 (RFC 791), IPv6 with extension headers (RFC 8200), TCP with its
 * options (RFC 9293, 7323, 2018). Reads nothing outside of the given length. */
#include "wire.h"

static int ipv4_options(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != 0) {
        if (*p == 1) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return DROP_BAD_IP_OPTION;
        if (*p == IPOPT_LSRR || *p == IPOPT_SSRR)
            return DROP_SOURCE_ROUTE;
        p += p[1];
    }
    return 0;
}

static int locate_ipv4(const uint8_t *ip, uint32_t length, struct layout *at)
{
    uint32_t header, total;

    if (length < IPV4_HEADER)
        return DROP_TRUNCATED;
    header = (ip[0] & 15u) * 4;
    total = load16(ip + 2);
    if (header < IPV4_HEADER || total < header)
        return DROP_BAD_IP_HEADER;
    if (total > length)
        return DROP_TRUNCATED;
    if (sum16(ip, header) != 0xffff)
        return DROP_BAD_IP_CHECKSUM;
    at->version = 4;
    at->protocol = ip[9];
    at->fragment = (load16(ip + 6) & 0x3fff) != 0;
    at->upper = header;
    at->end = total;
    return header > IPV4_HEADER ? ipv4_options(ip + IPV4_HEADER, ip + header) : 0;
}

/* Hop-by-hop or destination options. What we do not know and may not skip condemns the packet
 * (RFC 8200 section 4.2: the two highest bits of the type). */
static int ipv6_options(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (*p == 0) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] + 2 > end - p || *p >> 6)
            return DROP_BAD_IP_OPTION;
        p += p[1] + 2;
    }
    return 0;
}

static int locate_ipv6(const uint8_t *ip, uint32_t length, struct layout *at)
{
    uint32_t upper = IPV6_HEADER, end, header;
    uint8_t next;

    if (length < IPV6_HEADER)
        return DROP_TRUNCATED;
    end = IPV6_HEADER + load16(ip + 4);
    if (end > length)
        return DROP_TRUNCATED;
    next = ip[6];
    at->fragment = 0;
    while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_FRAGMENT ||
           next == IPPROTO_DSTOPTS) {
        const uint8_t *p = ip + upper;

        if (next == IPPROTO_HOPOPTS && upper != IPV6_HEADER)
            break; /* RFC 8200 section 4.1: anywhere else it is an unknown next header */
        if (end - upper < 8)
            return DROP_TRUNCATED;
        header = next == IPPROTO_FRAGMENT ? 8 : (p[1] + 1u) * 8;
        if (header > end - upper)
            return DROP_BAD_IP_OPTION;
        if (next == IPPROTO_ROUTING) {
            if (p[3] != 0)
                return DROP_BAD_IP_OPTION; /* we are no router */
        } else if (next == IPPROTO_FRAGMENT) {
            at->fragment = (load16(p + 2) & 0xfff9) != 0; /* else atomic, RFC 6946 */
        } else if (ipv6_options(p + 2, p + header)) {
            return DROP_BAD_IP_OPTION;
        }
        next = p[0];
        upper += header;
        if (at->fragment)
            break;
    }
    at->version = 6;
    at->protocol = next;
    at->upper = upper;
    at->end = end;
    return 0;
}

int locate(const uint8_t *ip, uint32_t length, struct layout *at)
{
    if (length == 0)
        return DROP_TRUNCATED;
    switch (ip[0] >> 4) {
    case 4:
        return locate_ipv4(ip, length, at);
    case 6:
        return locate_ipv6(ip, length, at);
    default:
        return DROP_BAD_VERSION;
    }
}

uint32_t tcp_header(const uint8_t *ip, const struct layout *at)
{
    uint32_t n = at->end - at->upper, header;

    if (at->protocol != IPPROTO_TCP || at->fragment || n < TCP_HEADER)
        return 0;
    header = (ip[at->upper + 12] >> 4) * 4u;
    return header < TCP_HEADER || header > n ? 0 : header;
}

/* One option whose length octet is sound; a known kind of another length than its own is
 * skipped, as Linux does. Of a repeated option the last one counts. */
static void tcp_option(const uint8_t *p, uint32_t n, struct record *r)
{
    switch (p[0]) {
    case OPT_MSS:
        if (n == 4)
            r->mss = load16(p + 2);
        break;
    case OPT_WSCALE:
        if (n == 3)
            r->wscale = (int8_t)(p[2] > 127 ? 127 : p[2]);
        break;
    case OPT_SACK_PERMITTED:
        if (n == 2)
            r->options |= HAS_SACK_PERMITTED;
        break;
    case OPT_TIMESTAMPS:
        if (n == 10) {
            r->options |= HAS_TIMESTAMPS;
            r->tsval = load32(p + 2);
            r->tsecr = load32(p + 6);
        }
        break;
    case OPT_SACK:
        if (n >= 10 && (n - 2) % 8 == 0) {
            memset(r->sack, 0, sizeof r->sack);
            r->n_sack = (uint8_t)((n - 2) / 8); /* 40 octets of options hold four at most */
            for (uint32_t i = 0; i < 2u * r->n_sack; i++)
                r->sack[i] = load32(p + 2 + 4 * i);
        }
        break;
    case OPT_FASTOPEN:
        r->options |= HAS_FASTOPEN;
        break;
    case OPT_EXPERIMENT_1:
    case OPT_EXPERIMENT_2:
        r->options |= HAS_EXPERIMENT;
        break;
    }
}

/* An option whose length can't be ends the list (RFC 9293 MUST-7, as Linux). */
static void tcp_options(const uint8_t *p, const uint8_t *end, struct record *r)
{
    while (p < end && *p != OPT_EOL) {
        if (*p == OPT_NOP) {
            p++;
            continue;
        }
        if (end - p < 2 || p[1] < 2 || p[1] > end - p)
            return;
        tcp_option(p, p[1], r);
        p += p[1];
    }
}

static int parse_tcp(const uint8_t *ip, const struct layout *at, struct record *r)
{
    const uint8_t *tcp = ip + at->upper;
    uint32_t n = at->end - at->upper, header;

    if (n < TCP_HEADER)
        return DROP_TRUNCATED;
    header = tcp_header(ip, at);
    if (header == 0)
        return DROP_BAD_TCP_HEADER;
    if (r->checksum_state == CHECKSUM_COMPLETE &&
        fold((uint64_t)pseudo_sum(ip, at, n) + sum16(tcp, n)) != 0xffff)
        return DROP_BAD_TCP_CHECKSUM;
    memcpy(r->key + 32, tcp + 2, 2);
    memcpy(r->key + 34, tcp, 2);
    r->kind = KIND_TCP;
    r->payload_offset += header;
    r->length = n - header;
    r->seq = load32(tcp + 4);
    r->ack = load32(tcp + 8);
    r->flags = load16(tcp + 12) & 0x1ff;
    r->wnd = load16(tcp + 14);
    r->urgent = load16(tcp + 18);
    if (header > TCP_HEADER)
        tcp_options(tcp + TCP_HEADER, tcp + header, r);
    return 0;
}

static void ip_fields(const uint8_t *ip, const struct layout *at, struct record *r)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

    r->version = at->version;
    r->protocol = at->protocol;
    r->end = r->start + at->end;
    r->upper = r->payload_offset = r->start + at->upper;
    r->length = at->end - at->upper;
    r->kind = at->fragment ? KIND_FRAGMENT : KIND_OTHER;
    if (at->version == 4) {
        memcpy(r->key, mapped, 12);
        memcpy(r->key + 12, ip + 16, 4);
        memcpy(r->key + 16, mapped, 12);
        memcpy(r->key + 28, ip + 12, 4);
        r->tos = ip[1];
        r->ttl = ip[8];
    } else {
        memcpy(r->key, ip + 24, 16);
        memcpy(r->key + 16, ip + 8, 16);
        r->tos = (uint8_t)(load16(ip) >> 4);
        r->ttl = ip[7];
    }
}

int parse(const uint8_t *arena, uint32_t off, uint32_t length, int checksum_state,
          uint32_t gso_size, uint8_t *records, uint32_t index)
{
    const uint8_t *ip = arena + off;
    struct record r = {
        .start = off,
        .gso_size = (uint16_t)gso_size,
        .wscale = -1,
        .checksum_state = (uint8_t)checksum_state,
    };
    struct layout at;
    int reason = locate(ip, length, &at);

    if (reason == 0) {
        ip_fields(ip, &at, &r);
        if (at.protocol == IPPROTO_TCP && !at.fragment)
            reason = parse_tcp(ip, &at, &r);
    }
    if (reason) {
        r = (struct record){
            .kind = KIND_BAD,
            .reason = (uint8_t)reason,
            .start = off,
            .end = off + length,
            .gso_size = (uint16_t)gso_size,
            .wscale = -1,
            .checksum_state = (uint8_t)checksum_state,
        };
    }
    memcpy(records + (size_t)index * sizeof r, &r, sizeof r);
    return r.kind;
}
