// A CA, a server certificate for localhost and a client certificate, in a folder that goes away.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "net/certificates.h"

namespace sluice::test {

inline void write_file(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

class TemporaryFolder final {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct TlsFiles {
  TemporaryFolder folder;
  net::KeyAndCertificate ca;
  std::string ca_file, certificate_file, key_file, client_certificate_file, client_key_file;

  TlsFiles() {
    using std::chrono::hours;
    ca = net::create_ca("test CA", hours(24)).value();
    const std::vector<std::string> names{"localhost", "127.0.0.1"};
    const auto server = net::create_server_certificate(ca, names, hours(24)).value();
    const auto request = net::create_request("agent-1").value();
    const auto client = net::sign_client_request(ca, request.request, "agent-1", hours(24)).value();
    ca_file = put("ca.pem", ca.certificate);
    certificate_file = put("server.pem", server.certificate);
    key_file = put("server.key", server.key);
    client_certificate_file = put("client.pem", client);
    client_key_file = put("client.key", request.key);
  }

  std::string put(const std::string& name, std::string_view text) const {
    std::string path = folder.file(name);
    write_file(path, text);
    return path;
  }
};

}  // namespace sluice::test
