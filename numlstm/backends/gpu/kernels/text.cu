// Gather windows of an encoded text: x[t, b] = text[starts[b] + t], and y is the token after each.

#define GATHER                                                                               \
  for (long long n = FLAT_INDEX; n < (long long)length * B; n += FLAT_STRIDE) {              \
    long long place = starts[n % B] + n / B;                                                 \
    x[n] = (int)text[place];                                                                 \
    y[n] = (int)text[place + 1];                                                             \
  }

KERNEL window_uint8(const unsigned char* text, const long long* starts, int length, int B, int* x, int* y) {
  GATHER
}

KERNEL window_uint16(const unsigned short* text, const long long* starts, int length, int B, int* x, int* y) {
  GATHER
}

KERNEL window_uint32(const unsigned int* text, const long long* starts, int length, int B, int* x, int* y) {
  GATHER
}

KERNEL window_int32(const int* text, const long long* starts, int length, int B, int* x, int* y) { GATHER }
