// Fibres: functions that switch to one another, each with its own stack.
//
// A switch on x86-64 takes a dozen instructions. Elsewhere (and with EMULATION_UCONTEXT) it is ucontext's swapcontext,
// which makes a system call and takes about 30 times as long. AddressSanitizer is notified of each switch.
#pragma once
#include <sys/mman.h>
#include <cstdint>
#include <cstdlib>
#include <new>

#if !defined(__x86_64__) && !defined(EMULATION_UCONTEXT)
#define EMULATION_UCONTEXT
#endif

#ifdef EMULATION_UCONTEXT
#include <ucontext.h>
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulation {

#ifndef EMULATION_UCONTEXT
// Save the callee-saved registers, switch stacks, and restore the registers saved there.
extern "C" [[gnu::visibility("hidden")]] void emulation_switch(void** from, void* to);
asm(R"(
  .text
  .hidden emulation_switch
  .globl emulation_switch
  .type emulation_switch, @function
emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size emulation_switch, . - emulation_switch
)");
#endif

class Stack {
 public:
  // Stacks that all started at the same offset in a page would evict each other from the CPU's cache.
  explicit Stack(size_t number) : size(SIZE - number % 61 * 64) {
    void* at = mmap(nullptr, GUARD + SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED || mprotect(at, GUARD, PROT_NONE)) throw std::bad_alloc();
    bottom = static_cast<char*>(at) + GUARD;
  }
  ~Stack() { munmap(bottom - GUARD, GUARD + SIZE); }
  Stack(const Stack&) = delete;
  char* bottom;
  const size_t size;

 private:
  static constexpr size_t GUARD = 4096, SIZE = 256 * 1024;  // bytes; a page costs memory only once it is touched
};

class Fibre {
 public:
  // The first switch to this fibre runs `entry`, which never returns, on the given stack.
  void prepare(Stack& stack, void (*entry)()) {
    bottom_ = stack.bottom;
    size_ = stack.size;
#ifdef EMULATION_UCONTEXT
    getcontext(&context_);
    context_.uc_stack.ss_sp = stack.bottom;
    context_.uc_stack.ss_size = stack.size;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
#else
    void** top = reinterpret_cast<void**>(stack.bottom + stack.size);
    *--top = nullptr;  // the return address of entry, which also aligns its frame as after a call
    *--top = reinterpret_cast<void*>(entry);
    for (int kept = 0; kept < 6; kept++) *--top = nullptr;
    kept_ = top;
#endif
  }

  // Switch from this fibre to `to`; `ended` means that this fibre will never resume.
  void leave([[maybe_unused]] Fibre& to, [[maybe_unused]] bool ended = false) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(ended ? nullptr : &shadow_, to.bottom_, to.size_);
#endif
#ifdef EMULATION_UCONTEXT
    swapcontext(&context_, &to.context_);
#else
    emulation_switch(&kept_, to.kept_);
#endif
    arrive(shadow_);
  }

  // Must be called first in `entry`.
  static void begin([[maybe_unused]] Fibre& from) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(nullptr, &from.bottom_, &from.size_);
#endif
  }

 private:
  static void arrive([[maybe_unused]] void* shadow) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(shadow, nullptr, nullptr);
#endif
  }
#ifdef EMULATION_UCONTEXT
  ucontext_t context_;
#else
  void* kept_ = nullptr;
#endif
  const void* bottom_ = nullptr;
  size_t size_ = 0;
  void* shadow_ = nullptr;
};

}  // namespace emulation
