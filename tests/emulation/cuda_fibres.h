// Runs the threads of a launch as fibres: blocks one after another, a block's threads in turn, each until it waits.
//
// A thread runs until it must wait for others. Code that lacks a barrier therefore reads values not yet written, in at
// least one thread order.
#pragma once
namespace emulation {

enum class State { ready, at_barrier, in_warp, ended };

struct Thread {
  Fibre fibre;
  Place place;
  State state;
  int line;  // where it waits
  int stack;
};

struct Block {
  Launch launch;
  Fibre scheduler;
  Thread* current;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<std::unique_ptr<Stack>> stacks;
  std::vector<int> idle;  // unused stacks; the last used is reused first, as it is likely in the cache
  char* shared;
  int at_barrier, barrier_line, ended;
};

inline Block state;

inline const Place& here() { return state.current->place; }
inline void* shared_memory() { return state.shared; }

inline void wait(State why, int line) {
  Thread& me = *state.current;
  me.state = why;
  me.line = line;
  me.fibre.leave(state.scheduler);
}

inline void block_barrier(int line) {
  if (!state.at_barrier) state.barrier_line = line;
  if (state.barrier_line != line)
    fail("threads of a block wait at different barriers" + at(state.barrier_line) + at(line));
  state.at_barrier++;
  wait(State::at_barrier, line);
}

// Resume the lanes whose wait is over.
inline void settle(int first) {
  unsigned released = state.warps[first / WARP].settle(std::min<int>(WARP, int(state.threads.size()) - first));
  for (int lane = 0; lane < WARP; lane++)
    if (released >> lane & 1) state.threads[first + lane].state = State::ready;
}

inline Share meet(const Deposit& deposit) {
  Thread& me = *state.current;
  int lane = me.place.number % WARP;
  Warp& warp = state.warps[me.place.number / WARP];
  me.state = State::in_warp;
  me.line = deposit.line;
  warp.bring(lane, deposit);
  settle(me.place.number - lane);
  if (me.state != State::ready || !problem.empty()) me.fibre.leave(state.scheduler);
  return warp.shares[lane];
}

[[noreturn]] inline void entry() {
  Fibre::begin(state.scheduler);
  state.launch.call(state.launch.arguments);
  Thread& me = *state.current;
  int lane = me.place.number % WARP;
  me.state = State::ended;
  state.ended++;
  state.warps[me.place.number / WARP].ended |= 1u << lane;
  if (state.warps[me.place.number / WARP].waiting) settle(me.place.number - lane);
  me.fibre.leave(state.scheduler, true);
  abort();
}

inline std::string standstill() {
  int barrier = state.at_barrier, warp = 0, line = 0;
  for (Thread& thread : state.threads) {
    warp += thread.state == State::in_warp;
    if (thread.state == State::at_barrier || (thread.state == State::in_warp && !line)) line = thread.line;
  }
  return "deadlock: " + std::to_string(barrier) + " of " + std::to_string(state.threads.size()) +
         " threads wait at a barrier of the block, " + std::to_string(warp) + " at an instruction of the warp, " +
         std::to_string(state.ended) + " have ended" + at(line);
}

// Open the barrier if all threads have reached it.
inline bool open() {
  if (state.at_barrier != int(state.threads.size())) return false;
  state.at_barrier = 0;
  for (Thread& thread : state.threads) thread.state = State::ready;
  return true;
}

inline int take_stack() {
  if (state.idle.empty()) {
    state.stacks.push_back(std::make_unique<Stack>(state.stacks.size()));
    return int(state.stacks.size()) - 1;
  }
  int stack = state.idle.back();
  state.idle.pop_back();
  return stack;
}

inline void advance(Thread& thread) {
  if (thread.stack < 0) {
    thread.stack = take_stack();
    thread.fibre.prepare(*state.stacks[thread.stack], entry);
  }
  state.current = &thread;
  state.scheduler.leave(thread.fibre);
  if (thread.state == State::ended) {
    state.idle.push_back(thread.stack);
    thread.stack = -1;
  }
}

inline void arrange(std::vector<int>& turns, int order, std::mt19937& random) {
  if (order >= 2) std::shuffle(turns.begin(), turns.end(), random);
}

inline void run_block(dim3 block, std::vector<int>& turns, std::mt19937& random) {
  const Launch& launch = state.launch;
  int count = int(state.threads.size());
  state.at_barrier = state.ended = 0;
  for (Warp& warp : state.warps) warp.waiting = warp.ended = 0;
  for (int n = 0; n < count; n++) {
    Thread& thread = state.threads[n];
    thread.place = {unravel(n, launch.threads), block, launch.threads, launch.blocks, n};
    thread.state = State::ready;
    thread.stack = -1;
  }
  while (problem.empty() && state.ended < count) {
    bool moved = false;
    arrange(turns, launch.order, random);
    for (int n : turns) {
      if (state.threads[n].state != State::ready) continue;
      advance(state.threads[n]);
      moved = true;
      if (!problem.empty()) return;
    }
    if (!open() && !moved) return fail(standstill());
  }
}

// A block's dynamic shared memory. Without AddressSanitizer, guard bytes follow that must not change.
class Shared {
 public:
  explicit Shared(size_t bytes) : bytes_(bytes) {
    if (posix_memalign(&at_, 16, std::max<size_t>(bytes + GUARD, 1))) throw std::bad_alloc();
    state.shared = static_cast<char*>(at_);
  }
  ~Shared() { free(at_); }
  void poison() { memset(at_, POISON, bytes_ + GUARD); }
  void check() const {
    const unsigned char* guard = static_cast<unsigned char*>(at_) + bytes_;
    for (size_t n = 0; n < GUARD; n++)
      if (guard[n] != POISON)
        return fail("written to shared memory beyond the " + std::to_string(bytes_) + " bytes asked for");
  }

 private:
#ifdef __SANITIZE_ADDRESS__
  static constexpr size_t GUARD = 0;
#else
  static constexpr size_t GUARD = 4096;
#endif
  void* at_ = nullptr;
  size_t bytes_;
};

inline void run(const Launch& launch) {
  size_t count = size_t(launch.threads.x) * launch.threads.y * launch.threads.z;
  unsigned long long blocks = 1ull * launch.blocks.x * launch.blocks.y * launch.blocks.z;
  state.launch = launch;
  if (state.threads.size() != count) state.threads = std::vector<Thread>(count);
  state.warps.resize((count + WARP - 1) / WARP);
  Shared shared(launch.shared);
  std::mt19937 random(unsigned(launch.order));
  std::vector<int> turns(count);
  for (size_t n = 0; n < count; n++) turns[n] = int(launch.order == 1 ? count - 1 - n : n);
  for (unsigned long long n = 0; n < blocks && problem.empty(); n++) {
    shared.poison();
    poison_static();
    run_block(unravel(launch.order == 1 ? blocks - 1 - n : n, launch.blocks), turns, random);
    shared.check();
  }
  if (problem.empty()) return;
  state.idle.clear();  // these stacks belong to threads that never ended
  state.stacks.clear();
}

}  // namespace emulation
