// Sandboxes that refuse process_vm_readv(2), with which mapped files are read: they are read from the file then.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "sources/reading.hpp"
#include "support/tensor_file.hpp"

namespace pinrail::test {
namespace {

/// From now on the system answers this thread's process_vm_readv with `native_code`.
void refuse_copies(int native_code) {
  std::array filter{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(native_code)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = filter.size(), .filter = filter.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    std::_Exit(2);
  }
}

[[noreturn]] void read_in_sandbox(int native_code) {
  const tensor_file file(1);
  const model mapped = file.open(file_io::mapped);
  refuse_copies(native_code);
  std::byte from{}, to{};
  const iovec there{&from, 1}, here{&to, 1};
  const bool refused = ::process_vm_readv(::getpid(), &here, 1, &there, 1, 0) < 0 && errno == native_code;
  const auto seen = read_block(mapped, 0);
  bool right = true;
  for (const tensor_info& t : mapped.blocks()[0].tensors) {
    const auto expected = tensor_file::bytes_of(t);
    right &= std::equal(expected.begin(), expected.end(), seen.begin() + static_cast<std::ptrdiff_t>(t.offset_bytes));
  }
  std::filesystem::remove_all(file.path().parent_path());
  std::_Exit(refused && right ? 0 : 1);
}

TEST(sandbox_death_test, mapped_files_are_read_all_the_same) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int native_code : {EPERM, ENOSYS})
    EXPECT_EXIT(read_in_sandbox(native_code), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace pinrail::test
