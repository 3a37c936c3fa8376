// How a block draws one stream's token: backends/spec/sampling.py, in float64 as it asks. All threads of a block draw for the
// same stream, so that what its settings ask for is the same decision for all of them, and all reach every barrier.
// Sums are made in shares: thread t has the tokens t * n, t * n + 1, ..., adds them up in that order, and 16 threads'
// sums make one of a group. The order depends on V and the size of the block, not on how many streams there are.

typedef unsigned long long u64;

// The settings of all streams, as a kernel is handed them: `numbers (4, B)` are temperature, top_p, min_p and penalty;
// `recent (B, window)` a ring of the last tokens and `counts (B, V)` how often each is in it, window 0 where no stream
// has a penalty; `allowed (B, V)` holds if `masked`. A block has V of the `keys` and the next power of two of the
// `order` to itself, unless V is `small`: then they are in its shared memory, and tokens are ordered by counting.
#define SETTINGS                                                                                                 \
  const double *numbers, const int *top_k, int *recent, int *counts, int window, const unsigned char *allowed,   \
      int masked, u64 *keys, int *order, int small
#define SETTINGS_ON numbers, top_k, recent, counts, window, allowed, masked, keys, order, small

// One stream's settings, logits and number. counts is 0 where nothing is penalised, allowed where all may come.
struct Stream {
  const REAL* logits;
  int V;
  double temperature, top_p, min_p, penalty, uniform;
  int top_k;
  const int* counts;
  const unsigned char* allowed;
};

#define GROUP 16     // threads whose sums make one
#define GROUPS 16    // of the largest block
#define LARGEST 256  // threads that a block may have: more would leave the compiler too few registers

// What the threads of a block share while they draw. The arrays of a thread each lie behind it.
struct Desk {
  double totals[GROUPS];
  u64 best_of[GROUPS];
  int best_id_of[GROUPS];
  int token, unused;
};

static_assert(sizeof(Desk) == 328, "drawing.py says how large a desk is");

// The desk, its arrays, and the order in which tokens are likely.
struct Table {
  Desk* desk;
  double* sums;  // a thread each
  u64* best;     // a thread each
  u64* keys;     // (V) of the logits as they are ruled
  int* best_id;  // a thread each
  int* order;    // ids, the likeliest first
  bool small;    // few enough to be ordered by counting
};

INLINE int shares_of(int n, int size) { return (n + size - 1) / size; }
INLINE int shares(int n) { return shares_of(n, (int)blockDim.x); }  // how many each thread has

// Order numbers as whole numbers, so that each has its place, NaN too: -0 as 0.
INLINE u64 key_of(double x) {
  u64 bits = 0;
  if (x != (double)0) memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? ~bits : bits | (u64)1 << 63;
}

#define MINUS_INFINITY 0x000FFFFFFFFFFFFFull  // its key

INLINE double value_of(u64 key) {
  u64 bits = key >> 63 ? key & ~((u64)1 << 63) : ~key;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Rules 1 and 2: the logit as the penalty makes it, -infinity where the token is not allowed.
INLINE double ruled(const Stream& s, int v) {
  double x = s.logits[v];
  if (s.counts && s.counts[v] > 0) x = x > (double)0 ? x / s.penalty : x * s.penalty;
  return s.allowed && !s.allowed[v] ? value_of(MINUS_INFINITY) : x;
}

// Find the largest key and the lowest id that has it; with `keep` the keys stay, seen by all from here on.
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

// The first of `count` places at which the running sum of weight(place) passes `share` of the whole or, with `reach`,
// reaches it; `otherwise` where none does, which only weights that are no numbers can bring about.
template <class Weight>
INLINE int place_of(int count, const Weight& weight, double share, bool reach, const Table& at, int otherwise) {
  int n = shares(count), t = (int)threadIdx.x, first = t * n, end = min(first + n, count), parts = shares_of(count, n);
  double sum = (double)0;
  for (int i = first; i < end; i++) sum += weight(i);
  at.sums[t] = sum;
  __syncthreads();
  if (t == 0) at.desk->token = otherwise;  // not before all have read what was found the last time
  int groups = shares_of(parts, GROUP);
  if (t < groups) {
    double before = (double)0;
    for (int p = t * GROUP; p < min(t * GROUP + GROUP, parts); p++) {
      double own = at.sums[p];
      at.sums[p] = before;  // from here on what lies before a share, within its group
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
    // A share begins where the one before it ends, to the bit: so exactly one of them passes.
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

// Whether a token is likelier than another; ids from V on fill the order up to a power of two, and come last.
INLINE bool likelier(const u64* keys, int V, int a, int b) {
  if (a >= V || b >= V) return a < V;
  return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
}

// The order by counting, for each token, those that are likelier: V * V comparisons and no barrier between them.
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

// The order by a bitonic sort (Batcher 1968) of the next power of two of ids.
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
        bool falling = (low & run) == 0;  // the likeliest first; every other run the other way round
        if (likelier(at.keys, V, b, a) == falling) at.order[low] = b, at.order[high] = a;
      }
      __syncthreads();
    }
}

// The weight of the token at a place of the order, and of a token if the cuts leave it: rules 3 to 6.
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
    return weight >= s.min_p ? weight : (double)0;  // that of the likeliest token is 1
  }
};

// The token drawn for a stream; the same for all threads of the block.
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
