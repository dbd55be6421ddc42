// A workspace as a memory resource in RMM's and CCCL's manner: cuda::mr::async_resource, with the properties that are
// named, of which there is one: workspace_resource<cuda::mr::device_accessible>. Includes no CUDA.
#pragma once

#include <concepts>
#include <cstddef>
#include <utility>

#include "pinrail/error.hpp"
#include "pinrail/workspace.hpp"

namespace pinrail {

/// A `Stream` below is a cudaStream_t, or has it as `get()` (cuda::stream_ref) or `value()` (rmm::cuda_stream_view).
template <class... Properties>
class workspace_resource {
 public:
  static constexpr std::size_t most_alignment = 256;

  explicit workspace_resource(workspace from) noexcept : from_(std::move(from)) {}

  /// Throws as `workspace::allocate`, and `errc::invalid_argument` for more alignment than there is.
  template <class Stream>
  [[nodiscard]] void* allocate_async(std::size_t size_bytes, std::size_t alignment, const Stream& stream) {
    if (alignment > most_alignment)
      throw error({.code = errc::invalid_argument, .needed_bytes = alignment, .available_bytes = most_alignment},
                  "workspace_resource: more alignment than 256 bytes was asked for");
    return from_.allocate(size_bytes, from_.try_native_stream(native(stream)).value());
  }
  template <class Stream>
  [[nodiscard]] void* allocate_async(std::size_t size_bytes, const Stream& stream) {
    return allocate_async(size_bytes, most_alignment, stream);
  }
  template <class Stream>
  void deallocate_async(void* memory, std::size_t size_bytes, std::size_t, const Stream& stream) noexcept {
    deallocate_async(memory, size_bytes, stream);
  }
  template <class Stream>
  void deallocate_async(void* memory, std::size_t size_bytes, const Stream& stream) noexcept {
    if (const auto known = from_.try_native_stream(native(stream))) {
      from_.deallocate(memory, size_bytes, *known);
    } else {
      from_.note_refusal(size_bytes, known.why());
    }
  }

  /// For use on any stream: waits on the CPU for what used the memory before.
  [[nodiscard]] void* allocate(std::size_t size_bytes, std::size_t alignment = most_alignment) {
    void* const memory = allocate_async(size_bytes, alignment, static_cast<void*>(nullptr));
    from_.try_native_stream(nullptr).value().synchronize();
    return memory;
  }
  /// What used the memory must be done, or enqueued on the legacy default stream.
  void deallocate(void* memory, std::size_t size_bytes, std::size_t = most_alignment) noexcept {
    deallocate_async(memory, size_bytes, static_cast<void*>(nullptr));
  }

  friend bool operator==(const workspace_resource&, const workspace_resource&) = default;
  template <class Property>
  requires(std::same_as<Property, Properties> || ...) friend constexpr void get_property(const workspace_resource&,
                                                                                         Property) noexcept {}

 private:
  template <class Stream>
  [[nodiscard]] static void* native(const Stream& stream) noexcept {
    if constexpr (requires { stream.get(); }) {
      return stream.get();
    } else if constexpr (requires { stream.value(); }) {
      return stream.value();
    } else {
      return stream;
    }
  }

  workspace from_;
};

}  // namespace pinrail
