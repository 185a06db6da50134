/* Writing headers: IP and TCP before a payload that is already there, the checksum of a packet that
 * has none yet, and the software cutting of a super-segment. Every number is the caller's. */
#include "wire.h"

static const uint8_t MAPPED[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void ipv4_checksum(uint8_t *ip, uint32_t header)
{
    store16(ip + 10, 0);
    store16(ip + 10, sum16(ip, header) ^ 0xffffu);
}

int build_tcp(uint8_t *arena, uint32_t off, const uint8_t *key, uint32_t seq, uint32_t ack,
              uint32_t flags, uint16_t wnd, uint16_t urgent, uint8_t tos, uint8_t ttl,
              uint32_t ident, int df, int timestamps, uint32_t tsval, uint32_t tsecr,
              const uint8_t *options, uint32_t options_length, uint32_t length,
              int checksum_state)
{
    struct layout at = {.protocol = IPPROTO_TCP};
    uint8_t *ip = arena + off, *tcp;
    uint32_t header = TCP_HEADER + (timestamps ? 12 : 0) + options_length;
    uint32_t n = header + length, sum;

    at.version = memcmp(key, MAPPED, 12) == 0 ? 4 : 6;
    if (at.version == 4) {
        at.upper = IPV4_HEADER;
        ip[0] = 0x45;
        ip[1] = tos;
        store16(ip + 2, IPV4_HEADER + n);
        store16(ip + 4, ident);
        store16(ip + 6, df ? 0x4000u : 0u);
        ip[8] = ttl;
        ip[9] = IPPROTO_TCP;
        memcpy(ip + 12, key + 12, 4);
        memcpy(ip + 16, key + 28, 4);
        ipv4_checksum(ip, IPV4_HEADER);
    } else {
        at.upper = IPV6_HEADER;
        store32(ip, 6u << 28 | (uint32_t)tos << 20 | (ident & 0xfffff));
        store16(ip + 4, n);
        ip[6] = IPPROTO_TCP;
        ip[7] = ttl;
        memcpy(ip + 8, key, 32);
    }
    tcp = ip + at.upper;
    memcpy(tcp, key + 32, 4);
    store32(tcp + 4, seq);
    store32(tcp + 8, ack);
    store16(tcp + 12, header / 4 << 12 | (flags & 0x1ff));
    store16(tcp + 14, wnd);
    store16(tcp + 16, 0);
    store16(tcp + 18, urgent);
    if (timestamps) {
        store32(tcp + 20, 0x0101080a); /* NOP, NOP, kind 8, length 10 */
        store32(tcp + 24, tsval);
        store32(tcp + 28, tsecr);
    }
    memcpy(tcp + header - options_length, options, options_length);
    sum = pseudo_sum(ip, &at, n);
    if (checksum_state == CHECKSUM_COMPLETE)
        sum = fold((uint64_t)sum + sum16(tcp, n)) ^ 0xffff;
    store16(tcp + 16, sum);
    return (int)(at.upper + header);
}

void complete_checksum(uint8_t *arena, uint32_t off, uint32_t length)
{
    uint8_t *ip = arena + off, *field;
    struct layout at;
    uint32_t n, sum;

    if (locate(ip, length, &at) || at.fragment)
        return;
    n = at.end - at.upper;
    if (at.protocol == IPPROTO_TCP && n >= TCP_HEADER)
        field = ip + at.upper + 16;
    else if (at.protocol == IPPROTO_UDP && n >= 8)
        field = ip + at.upper + 6;
    else
        return;
    store16(field, 0);
    sum = fold((uint64_t)pseudo_sum(ip, &at, n) + sum16(ip + at.upper, n)) ^ 0xffff;
    /* RFC 768: for UDP, zero would mean that there is none */
    store16(field, sum == 0 && at.protocol == IPPROTO_UDP ? 0xffff : sum);
}

int cut(const uint8_t *arena, uint32_t off, uint32_t length, uint32_t gso_size, uint8_t *out,
        uint32_t out_off, uint8_t *lengths)
{
    const uint8_t *from = arena + off;
    uint8_t *to = out + out_off;
    uint32_t headers, payload, done = 0, count = 0, seq, urgent;
    struct layout at;

    if (gso_size == 0 || locate(from, length, &at))
        return 0;
    headers = tcp_header(from, &at);
    if (headers == 0)
        return 0;
    headers += at.upper;
    payload = at.end - headers;
    seq = load32(from + at.upper + 4);
    urgent = load16(from + at.upper + 18);
    do {
        uint32_t size = payload - done < gso_size ? payload - done : gso_size;
        uint32_t flags = load16(from + at.upper + 12);
        uint8_t *tcp = to + at.upper;
        uint16_t total = (uint16_t)(headers + size);

        memcpy(to, from, headers);
        memcpy(to + headers, from + headers + done, size);
        if (at.version == 4) {
            store16(to + 2, total);
            store16(to + 4, load16(from + 4) + count);
            ipv4_checksum(to, (to[0] & 15u) * 4);
        } else {
            store16(to + 4, total - (uint32_t)IPV6_HEADER);
        }
        if (done + size < payload)
            flags &= ~(uint32_t)(FIN | PSH);
        if (done > 0)
            flags &= ~(uint32_t)CWR;
        if (urgent <= done) /* RFC 6093: the pointer names the octet after the urgent data */
            flags &= ~(uint32_t)URG;
        store32(tcp + 4, seq + done);
        store16(tcp + 12, flags);
        store16(tcp + 18, flags & URG ? urgent - done : 0);
        store16(tcp + 16, 0);
        at.end = total;
        store16(tcp + 16, fold((uint64_t)pseudo_sum(to, &at, total - at.upper) +
                               sum16(tcp, total - at.upper)) ^ 0xffff);
        memcpy(lengths + 2 * (size_t)count, &total, 2);
        count++;
        to += total;
        done += size;
    } while (done < payload);
    return (int)count;
}
