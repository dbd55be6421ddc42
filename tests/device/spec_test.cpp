#include "device/spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "device/backend.hpp"
#include "pinrail/error.hpp"

namespace pinrail::devices {
namespace {

using family = device_spec::family;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string refusal(std::string_view text) {
  try {
    static_cast<void>(parse_device_spec(text));
  } catch (const error& e) {
    EXPECT_EQ(e.code(), errc::invalid_argument) << text;
    return e.what();
  }
  ADD_FAILURE() << "accepted: " << text;
  return {};
}

std::uint64_t rate(const device_spec& spec, direction way) {
  return spec.options.bytes_per_second[static_cast<std::size_t>(way)];
}

TEST(device_spec, defaults) {
  for (const char* text : {"emulated:", "emulated"}) {
    const device_spec spec = parse_device_spec(text);
    EXPECT_EQ(spec.kind, family::emulated);
    EXPECT_EQ(spec.options.vram_bytes, 24_GiB);
    EXPECT_EQ(spec.options.latency_ns, 0u);
    EXPECT_EQ(rate(spec, direction::host_to_device), 0u);
    EXPECT_TRUE(spec.options.poison);
    EXPECT_TRUE(spec.options.check);
  }
  EXPECT_EQ(parse_device_spec("simulated:").kind, family::simulated);
  EXPECT_EQ(parse_device_spec("best").kind, family::best);
}

TEST(device_spec, reads_every_key) {
  const device_spec spec =
      parse_device_spec("emulated:vram=2GiB,h2d=25GB/s,d2h=24GB/s,d2d=1TB/s,latency=10us,poison=off,check=off");
  EXPECT_EQ(spec.options.vram_bytes, 2_GiB);
  EXPECT_EQ(rate(spec, direction::host_to_device), 25'000'000'000u);
  EXPECT_EQ(rate(spec, direction::device_to_host), 24'000'000'000u);
  EXPECT_EQ(rate(spec, direction::device_to_device), 1'000'000'000'000u);
  EXPECT_EQ(spec.options.latency_ns, 10'000u);
  EXPECT_FALSE(spec.options.poison);
  EXPECT_FALSE(spec.options.check);
}

TEST(device_spec, allows_spaces_around_words) {
  const device_spec spec = parse_device_spec("simulated: vram = 1 GiB , h2d= 5 GB/s");
  EXPECT_EQ(spec.options.vram_bytes, 1_GiB);
  EXPECT_EQ(rate(spec, direction::host_to_device), 5'000'000'000u);
}

TEST(device_spec, reads_cuda_ordinals) {
  EXPECT_EQ(parse_device_spec("cuda:0").kind, family::cuda);
  EXPECT_EQ(parse_device_spec("cuda:0").ordinal, 0);
  EXPECT_EQ(parse_device_spec("cuda:17").ordinal, 17);
}

TEST(device_spec, names_an_unknown_kind) {
  EXPECT_THAT(refusal("vulkan:0"), AllOf(HasSubstr("'vulkan:0'"), HasSubstr("unknown kind 'vulkan'"),
                                         HasSubstr("cuda:N, emulated:…, simulated:… and best")));
  EXPECT_THAT(refusal(""), HasSubstr("unknown kind ''"));
}

TEST(device_spec, names_an_unknown_key_and_those_allowed) {
  EXPECT_THAT(refusal("emulated:vram=1GiB,speed=3"),
              AllOf(HasSubstr("'emulated:vram=1GiB,speed=3'"), HasSubstr("unknown key 'speed'"),
                    HasSubstr("vram, h2d, d2h, d2d, latency, poison, check")));
}

TEST(device_spec, refuses_emulated_keys_on_a_simulated_device) {
  const std::string why = refusal("simulated:poison=on");
  EXPECT_THAT(why, AllOf(HasSubstr("unknown key 'poison'"), HasSubstr("vram, h2d, d2h, d2d, latency")));
  EXPECT_THAT(why, Not(HasSubstr("check")));
}

TEST(device_spec, names_the_key_of_a_bad_value) {
  EXPECT_THAT(refusal("emulated:vram=lots"),
              AllOf(HasSubstr("key 'vram'"), HasSubstr("'lots'"), HasSubstr("takes vram, h2d")));
  EXPECT_THAT(refusal("emulated:h2d=25GB/h"), HasSubstr("key 'h2d'"));
  EXPECT_THAT(refusal("simulated:latency=soon"), AllOf(HasSubstr("key 'latency'"), HasSubstr("'soon'")));
  EXPECT_THAT(refusal("emulated:check=maybe"), AllOf(HasSubstr("key 'check'"), HasSubstr("'on' nor 'off'")));
}

TEST(device_spec, refuses_zero_memory_and_zero_rates) {
  EXPECT_THAT(refusal("emulated:vram=0"), AllOf(HasSubstr("key 'vram'"), HasSubstr("above zero")));
  EXPECT_THAT(refusal("simulated:d2h=0"), AllOf(HasSubstr("key 'd2h'"), HasSubstr("above zero")));
}

TEST(device_spec, refuses_what_is_not_key_value) {
  EXPECT_THAT(refusal("emulated:vram"), HasSubstr("'vram' is not key=value"));
  EXPECT_THAT(refusal("emulated:vram=1GiB,"), HasSubstr("'' is not key=value"));
  EXPECT_THAT(refusal("emulated:,"), HasSubstr("'' is not key=value"));
}

TEST(device_spec, refuses_a_key_given_twice) {
  EXPECT_THAT(refusal("emulated:vram=1GiB,vram=2GiB"), HasSubstr("'vram' is given twice"));
}

TEST(device_spec, refuses_bad_ordinals) {
  for (const char* text : {"cuda:", "cuda", "cuda:x", "cuda:0x", "cuda:-1", "cuda:1.5", "cuda:99999999999"}) {
    EXPECT_THAT(refusal(text), HasSubstr("write it like cuda:0")) << text;
  }
}

TEST(device_spec, best_takes_no_keys) { EXPECT_THAT(refusal("best:vram=1GiB"), HasSubstr("takes no keys")); }

}  // namespace
}  // namespace pinrail::devices
