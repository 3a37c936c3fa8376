// Runs the threads of a launch as system threads, so that ThreadSanitizer detects reads without synchronisation.
//
// As many blocks as fit run at once, so that races between blocks are detected too. If a source has static shared
// memory, which exists only once, blocks run one after another. Slow: for small shapes only. cuda_fibres.h reports
// deadlocks; here a barrier that some threads never reach aborts the process.
#pragma once

namespace emulation {

constexpr size_t MOST_AT_ONCE = 2048;

struct Block {
  std::mutex lock;
  std::condition_variable opened;
  size_t threads, waiting = 0, ended = 0, opening = 0;
  std::unique_ptr<unsigned char[]> shared;
  struct Meeting {
    std::mutex lock;
    std::condition_variable settled;
    Warp warp{};
  };
  std::vector<Meeting> warps;

  Block(size_t threads, size_t bytes) : threads(threads), shared(new unsigned char[bytes]), warps((threads + WARP - 1) / WARP) {
    memset(shared.get(), POISON, bytes);
  }

  void expect_others() {
    if (!waiting || waiting + ended != threads || !ended) return;
    fprintf(stderr, "deadlock: %zu threads wait at a barrier of the block, %zu have ended\n", waiting, ended);
    abort();
  }
};

inline thread_local Place place;
inline thread_local Block* block = nullptr;

inline const Place& here() { return place; }
inline void* shared_memory() { return block->shared.get(); }

inline void block_barrier(int) {
  std::unique_lock<std::mutex> held(block->lock);
  if (++block->waiting == block->threads) {
    block->waiting = 0;
    block->opening++;
    block->opened.notify_all();
    return;
  }
  block->expect_others();
  size_t opening = block->opening;
  block->opened.wait(held, [&] { return block->opening != opening; });
}

inline int lanes() { return std::min<int>(WARP, int(block->threads) - place.number / WARP * WARP); }

inline Share meet(const Deposit& deposit) {
  Block::Meeting& meeting = block->warps[place.number / WARP];
  int lane = place.number % WARP;
  std::unique_lock<std::mutex> held(meeting.lock);
  meeting.warp.bring(lane, deposit);
  if (meeting.warp.settle(lanes())) meeting.settled.notify_all();
  meeting.settled.wait(held, [&] { return !(meeting.warp.waiting >> lane & 1); });
  return meeting.warp.shares[lane];
}

inline void end() {
  Block::Meeting& meeting = block->warps[place.number / WARP];
  {
    std::unique_lock<std::mutex> held(meeting.lock);
    meeting.warp.ended |= 1u << place.number % WARP;
    if (meeting.warp.settle(lanes())) meeting.settled.notify_all();
  }
  std::unique_lock<std::mutex> held(block->lock);
  block->ended++;
  block->expect_others();
}

inline void run_together(const Launch& launch, unsigned long long first, unsigned long long last, size_t count) {
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<std::thread> threads;
  for (unsigned long long n = first; n < last; n++) {
    blocks.push_back(std::make_unique<Block>(count, launch.shared));
    for (size_t number = 0; number < count; number++)
      threads.emplace_back([&launch, n, number, mine = blocks.back().get()] {
        block = mine;
        place = {unravel(number, launch.threads), unravel(n, launch.blocks), launch.threads, launch.blocks, int(number)};
        launch.call(launch.arguments);
        end();
      });
  }
  for (std::thread& thread : threads) thread.join();
}

inline void run(const Launch& launch) {
  size_t count = size_t(launch.threads.x) * launch.threads.y * launch.threads.z;
  unsigned long long blocks = 1ull * launch.blocks.x * launch.blocks.y * launch.blocks.z;
  unsigned long long together = __start_block_shared ? 1 : std::max<size_t>(1, MOST_AT_ONCE / count);
  for (unsigned long long n = 0; n < blocks; n += together) {
    poison_static();
    run_together(launch, n, std::min(blocks, n + together), count);
  }
}

}  // namespace emulation
