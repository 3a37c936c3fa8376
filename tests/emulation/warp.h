// The lanes of a warp and the values they exchange when they meet; used by both thread implementations.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

namespace emulation {

constexpr int WARP = 32;

inline std::string problem;  // the error that ended the last launch, "" if none

inline void fail(const std::string& text) {
  if (problem.empty()) problem = text;
}

inline std::string at(int line) { return " (line " + std::to_string(line) + ")"; }

struct Deposit {  // a lane's input
  unsigned mask;
  int line;
  int source;  // the lane to read from, -1 for its own
  bool vote;
  uint64_t value;
};

struct Share {  // a lane's output
  uint64_t value;
  unsigned votes;  // one bit per lane, set if it voted yes
};

struct Warp {
  Deposit deposits[WARP];
  Share shares[WARP];
  unsigned waiting, ended;  // one bit per lane

  // Record that a lane waits for the lanes of its mask.
  void bring(int lane, const Deposit& deposit) {
    if (!(deposit.mask >> lane & 1)) fail("a lane is not in the mask that it gives" + at(deposit.line));
    deposits[lane] = deposit;
    waiting |= 1u << lane;
  }

  // Compute the shares of each complete group and return the lanes released. As on a device, a group does not wait for
  // lanes that ended or that a short last warp lacks; the warp has `lanes` lanes.
  unsigned settle(int lanes) {
    unsigned released = 0, absent = ended | (lanes < WARP ? ~0u << lanes : 0u);
    for (int lane = 0; lane < lanes; lane++) {
      if (!(waiting >> lane & 1)) continue;
      unsigned mask = deposits[lane].mask, group = waiting & mask;
      if (!alike(group, deposits[lane]) || (group | (absent & mask)) != mask) continue;
      share(group);
      waiting &= ~group;
      released |= group;
    }
    return released;
  }

 private:
  bool alike(unsigned group, const Deposit& first) const {
    for (int lane = 0; lane < WARP; lane++) {
      const Deposit& other = deposits[lane];
      if (!(group >> lane & 1) || (other.mask == first.mask && other.line == first.line)) continue;
      fail("lanes of a warp wait for one another at different instructions or with different masks" + at(first.line) +
           at(other.line));
      return false;
    }
    return true;
  }

  // A lane outside the group has no value; reading from it gives NaN.
  void share(unsigned group) {
    unsigned votes = 0;
    for (int lane = 0; lane < WARP; lane++)
      if (group >> lane & 1 && deposits[lane].vote) votes |= 1u << lane;
    for (int lane = 0; lane < WARP; lane++) {
      if (!(group >> lane & 1)) continue;
      int source = deposits[lane].source < 0 ? lane : deposits[lane].source;
      shares[lane] = {group >> source & 1 ? deposits[source].value : ~uint64_t(0), votes};
    }
  }
};

}  // namespace emulation
