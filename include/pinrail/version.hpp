// The version of these headers, as in CMakeLists.txt (a test compares them).
#pragma once

#define PINRAIL_VERSION_MAJOR 0
#define PINRAIL_VERSION_MINOR 1
#define PINRAIL_VERSION_PATCH 0
#define PINRAIL_VERSION "0.1.0"
