// How a block draws one stream's token, as backends/spec/sampling.py defines it, in float64. All threads of a block
// draw for the same stream, so they take the same branches on its settings, and all reach every barrier. Sums are
// computed in shares: thread t adds up tokens t * n, t * n + 1, ... in that order, and the sums of 16 threads are added
// up for a group. The order depends on V and the block's size, not on the number of streams.

typedef unsigned long long u64;

// The settings of all streams, as kernel arguments. `numbers (4, B)` holds temperature, top_p, min_p and penalty.
// `recent (B, window)` is a ring buffer of the last tokens and `counts (B, V)` how often each occurs in it; window is 0
// if no stream has a penalty. `allowed (B, V)` applies if `masked`. Each block has V entries of `keys` and the next
// power of two of `order` to itself, unless V is `small`: then they are in shared memory, and tokens are sorted by
// counting.
#define SETTINGS                                                                                                 \
  const double *numbers, const int *top_k, int *recent, int *counts, int window, const unsigned char *allowed,   \
      int masked, u64 *keys, int *order, int small
#define SETTINGS_ON numbers, top_k, recent, counts, window, allowed, masked, keys, order, small

// One stream's settings, logits and random number. counts is 0 without a penalty, allowed is 0 if all tokens are.
struct Stream {
  const REAL* logits;
  int V;
  double temperature, top_p, min_p, penalty, uniform;
  int top_k;
  const int* counts;
  const unsigned char* allowed;
};

#define GROUP 16     // threads whose sums are added up
#define GROUPS 16    // in the largest block
#define LARGEST 256  // the most threads per block: more would leave the compiler too few registers

// What the threads of a block share while they draw. The per-thread arrays follow it in memory.
struct Desk {
  double totals[GROUPS];
  u64 best_of[GROUPS];
  int best_id_of[GROUPS];
  int token, unused;
};

static_assert(sizeof(Desk) == 328, "drawing.py says how large a desk is");

// The desk, its arrays, and the tokens in order of likelihood.
struct Table {
  Desk* desk;
  double* sums;  // one per thread
  u64* best;     // one per thread
  u64* keys;     // (V), of the logits after rules 1 and 2
  int* best_id;  // one per thread
  int* order;    // ids, likeliest first
  bool small;    // few enough tokens to sort by counting
};

INLINE int shares_of(int n, int size) { return (n + size - 1) / size; }
INLINE int shares(int n) { return shares_of(n, (int)blockDim.x); }  // items per thread

// Map a number to an integer of the same order, so that every number has a rank, even NaN; -0 counts as 0.
INLINE u64 key_of(double x) {
  u64 bits = 0;
  if (x != (double)0) memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | (u64)1 << 63;
}

#define MINUS_INFINITY 0x000FFFFFFFFFFFFFull  // the key of -infinity

INLINE double value_of(u64 key) {
  u64 bits = key >> 63 ? key & ~((u64)1 << 63) : ~key;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Rules 1 and 2: the logit after the penalty, -infinity if the token is not allowed.
INLINE double ruled(const Stream& s, int v) {
  double x = s.logits[v];
  if (s.counts && s.counts[v] > 0) x = x > (double)0 ? x / s.penalty : x * s.penalty;
  return s.allowed && !s.allowed[v] ? value_of(MINUS_INFINITY) : x;
}

// Find the largest key and the lowest id that has it. With `keep` the keys are stored, and all threads can read them.
INLINE void find_best(const Stream& s, const Table& at, bool keep, u64* best, int* best_id) {
  int n = shares(s.V), t = (int)threadIdx.x, first = t * n, parts = shares_of(s.V, n);
  u64 largest = 0;
  int id = 0;
  for (int v = first; v < min(first + n, s.V); v++) {
    u64 key = key_of(ruled(s, v));
    if (keep) at.keys[v] = key;
    if (v == first || key > largest) {
      largest = key;
      id = v;
    }
  }
  at.best[t] = largest;
  at.best_id[t] = id;
  __syncthreads();
  int groups = shares_of(parts, GROUP);
  if (t < groups) {
    int p = t * GROUP;
    for (int q = p + 1; q < min(t * GROUP + GROUP, parts); q++)
      if (at.best[q] > at.best[p]) p = q;
    at.desk->best_of[t] = at.best[p];
    at.desk->best_id_of[t] = at.best_id[p];
  }
  __syncthreads();
  int g = 0;
  for (int q = 1; q < groups; q++)
    if (at.desk->best_of[q] > at.desk->best_of[g]) g = q;
  *best = at.desk->best_of[g];
  *best_id = at.desk->best_id_of[g];
}

// The first of `count` places at which the running sum of weight(place) exceeds `share` of the total or, with `reach`,
// reaches it; `otherwise` if there is none, which only NaN weights can cause.
template <class Weight>
INLINE int place_of(int count, const Weight& weight, double share, bool reach, const Table& at, int otherwise) {
  int n = shares(count), t = (int)threadIdx.x, first = t * n, end = min(first + n, count), parts = shares_of(count, n);
  double sum = (double)0;
  for (int i = first; i < end; i++) sum += weight(i);
  at.sums[t] = sum;
  __syncthreads();
  if (t == 0) at.desk->token = otherwise;  // only now have all threads read the previous result
  int groups = shares_of(parts, GROUP);
  if (t < groups) {
    double before = (double)0;
    for (int p = t * GROUP; p < min(t * GROUP + GROUP, parts); p++) {
      double own = at.sums[p];
      at.sums[p] = before;  // from here on the sum of the shares before this one in its group
      before += own;
    }
    at.desk->totals[t] = before;
  }
  __syncthreads();
  double base = (double)0, whole = (double)0;
  for (int g = 0; g < groups; g++) {
    if (g == t / GROUP) base = whole;
    whole += at.desk->totals[g];
  }
  if (t < parts) {
    // A share begins where the previous one ends, to the bit, so exactly one share reaches the target.
    bool last = t % GROUP == GROUP - 1 || t == parts - 1;
    double target = share * whole, running = base + at.sums[t];
    double behind = base + (last ? at.desk->totals[t / GROUP] : at.sums[t + 1]);
    bool here = reach ? behind >= target && (t == 0 || running < target)
                      : behind > target && (t == 0 || running <= target);
    if (here) {
      int place = otherwise;
      for (int i = first; i < end; i++) {
        double w = weight(i);
        running += w;
        if (w > (double)0) place = i;
        if (reach ? running >= target : running > target) break;
      }
      at.desk->token = place;
    }
  }
  __syncthreads();
  return at.desk->token;
}

// True if token a is likelier than b. Ids from V on pad the order to a power of two and come last.
INLINE bool likelier(const u64* keys, int V, int a, int b) {
  if (a >= V || b >= V) return a < V;
  return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
}

// Sort by counting, for each token, those that are likelier: V * V comparisons without a barrier between them.
INLINE void order_by_counting(int V, const Table& at) {
  for (int v = threadIdx.x; v < V; v += blockDim.x) {
    u64 key = at.keys[v];
    int place = 0;
    for (int w = 0; w < v; w++) place += at.keys[w] >= key;
    for (int w = v + 1; w < V; w++) place += at.keys[w] > key;
    at.order[place] = v;
  }
  __syncthreads();
}

// Sort with a bitonic sort (Batcher 1968), padded to the next power of two.
INLINE void order_by_merging(int V, const Table& at) {
  int size = 1;
  while (size < V) size *= 2;
  for (int i = threadIdx.x; i < size; i += blockDim.x) at.order[i] = i;
  __syncthreads();
  for (int run = 2; run <= size; run *= 2)
    for (int step = run / 2; step > 0; step /= 2) {
      for (int i = threadIdx.x; i < size / 2; i += blockDim.x) {
        int low = 2 * i - (i & (step - 1)), high = low + step;
        int a = at.order[low], b = at.order[high];
        bool falling = (low & run) == 0;  // likeliest first; every other run is reversed
        if (likelier(at.keys, V, b, a) == falling) at.order[low] = b, at.order[high] = a;
      }
      __syncthreads();
    }
}

// Rules 3 to 6: the weight of the token at a place of the order, and the weight of a token, 0 if top_k, top_p or min_p
// drops it.
struct Ordered {
  const Table& at;
  double top, temperature;
  INLINE double operator()(int place) const {
    return exp((value_of(at.keys[at.order[place]]) - top) / temperature);
  }
};

struct Left {
  const Stream& s;
  double top;
  u64 limit;
  int limit_id;
  INLINE double operator()(int v) const {
    double x = ruled(s, v);
    u64 key = key_of(x);
    if (key < limit || (key == limit && v > limit_id)) return (double)0;
    double weight = exp((x - top) / s.temperature);
    return weight >= s.min_p ? weight : (double)0;  // the likeliest token's weight is 1
  }
};

// Draw a token for a stream; returns the same token to all threads of the block.
extern "C" __device__ __noinline__ int draw_token(const Stream& s, const Table& at) {
  bool cut = s.temperature > (double)0 && ((s.top_k > 0 && s.top_k < s.V) || s.top_p < (double)1);
  u64 best, limit = 0;
  int best_id, limit_id = s.V;
  find_best(s, at, cut, &best, &best_id);
  if (!(s.temperature > (double)0)) return best_id;
  double top = value_of(best);
  if (cut) {
    if (at.small)
      order_by_counting(s.V, at);
    else
      order_by_merging(s.V, at);
    int left = s.top_k > 0 && s.top_k < s.V ? s.top_k : s.V;
    if (s.top_p < (double)1) {
      Ordered weight = {at, top, s.temperature};
      left = 1 + place_of(left, weight, s.top_p, true, at, 0);
    }
    limit_id = at.order[left - 1];
    limit = at.keys[limit_id];
  }
  Left weight = {s, top, limit, limit_id};
  return place_of(s.V, weight, s.uniform, false, at, best_id);
}
