// Numbers of models, and that learning a list costs as much as the list is long. Memory is what is counted, by a
// replaced operator new, so not in sanitizer builds, which bring one of their own.
#include "server/model_book.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {
thread_local std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace sluice::server {
namespace {

std::vector<std::string> names(std::size_t count, const std::string& prefix = "m") {
  std::vector<std::string> made;
  for (std::size_t i = 0; i < count; ++i) made.push_back(prefix + std::to_string(i));
  return made;
}

TEST(ModelNumbers, AreDenseAndKept) {
  ModelNumbers numbers;
  EXPECT_EQ(numbers.keep("conf"), 0u);
  EXPECT_EQ(numbers.lend({"a", "b"}), (std::vector<std::uint32_t>{1, 2}));
  EXPECT_EQ(numbers.lend({"b", "a"}), (std::vector<std::uint32_t>{2, 1}));
  EXPECT_EQ(numbers.keep("conf"), 0u);
  EXPECT_EQ(numbers.kept(), std::vector<std::string>{"conf"});
}

TEST(ModelNumbers, OfModelsThatAreKnownNoMoreGoToOthersAndTheirsToNobody) {
  ModelNumbers numbers;
  (void)numbers.keep("conf");
  for (int round = 0; round < 50; ++round) (void)numbers.lend(names(100, std::to_string(round) + "-"));
  EXPECT_LE(numbers.given(), 201u);  // those of one round and of the one before
  (void)numbers.lend({"a"});
  const std::uint32_t of_a = numbers.keep("a");  // a budget names it now
  (void)numbers.lend({});
  for (const std::uint32_t number : numbers.lend(names(300, "late"))) EXPECT_NE(number, of_a);
  EXPECT_EQ(numbers.keep("a"), of_a);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
std::size_t allocations_to_learn(std::size_t count) {
  upstream::Catalog catalog;
  ModelNumbers numbers;
  catalog.set_most_learned(1'000'000);
  catalog.list("upstream", names(count));
  const std::size_t before = allocations;
  const upstream::Catalog::Joined joined = catalog.join();
  EXPECT_EQ(numbers.lend(joined.learned).size(), count);
  return allocations - before;
}

TEST(ModelBook, LearnsAListInStepsThatGrowAsTheListDoes) {
  const std::size_t few = allocations_to_learn(1'000), many = allocations_to_learn(16'000);
  EXPECT_LT(few, 1'000u * 10);
  EXPECT_LT(many, few * 16 * 3 / 2);
}
#endif

}  // namespace
}  // namespace sluice::server
