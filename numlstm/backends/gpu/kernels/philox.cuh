// Philox4x32-10 (Salmon et al. 2011): four random words for each counter, as in backends/spec/philox.py.
INLINE void philox(unsigned int (&words)[4], unsigned int key_low, unsigned int key_high) {
  for (int round = 0; round < 10; round++) {
    unsigned long long left = (unsigned long long)words[0] * 0xD2511F53u;
    unsigned long long right = (unsigned long long)words[2] * 0xCD9E8D57u;
    words[0] = (unsigned int)(right >> 32) ^ words[1] ^ key_low;
    words[1] = (unsigned int)right;
    words[2] = (unsigned int)(left >> 32) ^ words[3] ^ key_high;
    words[3] = (unsigned int)left;
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
}
