/* The Internet checksum (RFC 1071), for both families and with the pseudo-header. */
#include "wire.h"

/* One's complement addition does not mind the byte order: the sum is taken in the machine's own
 * and swapped once. 32-bit words into 64-bit lanes need no carry below 2^32 words. */
uint32_t sum16(const uint8_t *p, uint32_t n)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    uint32_t w[8];

    for (; n >= 32; n -= 32, p += 32) {
        memcpy(w, p, 32);
        a += w[0];
        b += w[1];
        c += w[2];
        d += w[3];
        a += w[4];
        b += w[5];
        c += w[6];
        d += w[7];
    }
    a += b + c + d;
    for (; n >= 4; n -= 4, p += 4) {
        memcpy(w, p, 4);
        a += w[0];
    }
    if (n) {
        w[0] = 0;
        memcpy(w, p, n);
        a += w[0];
    }
    return __builtin_bswap16((uint16_t)fold(a));
}

uint32_t pseudo_sum(const uint8_t *ip, const struct layout *at, uint32_t length)
{
    uint32_t addresses = at->version == 4 ? sum16(ip + 12, 8) : sum16(ip + 8, 32);

    return fold((uint64_t)addresses + at->protocol + length);
}

int checksum(const uint8_t *arena, uint32_t off, uint32_t length, uint32_t initial)
{
    return (int)fold((uint64_t)initial + sum16(arena + off, length));
}
