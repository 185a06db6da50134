/* What Python may call. cffi reads this file as declarations and the compiler as a header, so
 * it holds no preprocessor lines. pystack/wire/codec says what each function does. */

int checksum(const uint8_t *arena, uint32_t off, uint32_t length, uint32_t initial);

int parse(const uint8_t *arena, uint32_t off, uint32_t length, int checksum_state,
          uint32_t gso_size, uint8_t *records, uint32_t index);

int build_tcp(uint8_t *arena, uint32_t off, const uint8_t *key, uint32_t seq, uint32_t ack,
              uint32_t flags, uint16_t wnd, uint16_t urgent, uint8_t tos, uint8_t ttl,
              uint32_t ident, int df, int timestamps, uint32_t tsval, uint32_t tsecr,
              const uint8_t *options, uint32_t options_length, uint32_t length,
              int checksum_state);

int cut(const uint8_t *arena, uint32_t off, uint32_t length, uint32_t gso_size, uint8_t *out,
        uint32_t out_off, uint8_t *lengths);

void complete_checksum(uint8_t *arena, uint32_t off, uint32_t length);

int read_batch(int fd, uint8_t *arena, uint32_t slot_size, uint32_t slots, int vnet,
               uint8_t *records);

int write_batch(int fd, uint8_t *arena, const uint8_t *records, uint32_t first, uint32_t count,
                int vnet);
