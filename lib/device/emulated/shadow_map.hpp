// What the order checker remembers of memory: for each range of bytes, who touched it last.
#pragma once

#include <boost/icl/interval_map.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "device/emulated/vector_clock.hpp"

namespace pinrail::devices {

/// Who touches memory.
enum class toucher : std::uint8_t { copy_to_device, copy_to_host, copy_within, kernel, noted_use, discard, host };

struct touch {
  stamp when;
  toucher what = toucher::kernel;
  friend bool operator==(const touch&, const touch&) = default;
};

/// The last accesses to some bytes. The default is "nothing that could still matter".
struct shadow {
  touch write;  ///< none at time 0
  /// Reads since the write, none of which is ordered before another; by stream.
  std::vector<touch> reads;
  /// The write was a discard: nothing may read the bytes before the next write.
  bool discarded = false;
  friend bool operator==(const shadow&, const shadow&) = default;

  /// Notes an access by `who`, whose stream knows `known` to be over.
  void note_read(const touch& who, const vector_clock& known);
  void note_write(const touch& who);
  /// Drops what is over for everyone.
  void forget(const vector_clock& over);
};

/// A map from ranges of addresses to shadows; neighbours with equal shadows become one.
class shadow_map {
 public:
  using address = std::uintptr_t;
  struct piece {
    address begin;
    address end;
    shadow last;
  };

  /// The whole of [begin, end), in order, including parts of which nothing is known.
  [[nodiscard]] std::vector<piece> pieces(address begin, address end) const;
  void assign(const std::vector<piece>& pieces);
  void erase(address begin, address end);
  void clear() { shadows_.clear(); }
  /// Drops what is over for everyone.
  void forget(const vector_clock& over);
  [[nodiscard]] std::size_t size() const noexcept { return shadows_.iterative_size(); }

 private:
  using interval = boost::icl::right_open_interval<address>;
  /// Ranges with a default shadow are not stored.
  using map = boost::icl::interval_map<address, shadow, boost::icl::partial_absorber, std::less,
                                       boost::icl::inplace_identity, boost::icl::inplace_identity, interval>;
  map shadows_;
};

}  // namespace pinrail::devices
