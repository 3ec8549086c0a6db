#include "agent/credentials.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/bytes.h"
#include "base/json.h"
#include "net/tls_context.h"
#include "tunnel/session.h"

namespace sluice::agent {
namespace {

struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free_all(bio); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;

std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = ERR_reason_error_string(code);
  return reason == nullptr ? "unknown reason" : reason;
}

std::string content_of(BIO& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(&bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

absl::StatusOr<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return absl::NotFoundError(
        absl::StrCat("cannot read ", path, " (", std::strerror(errno), "): run `sluice agent pair` first"));
  }
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// Written beside and renamed, so that a crash leaves the old file or the new one.
absl::Status write_file(const std::string& path, std::string_view content) {
  const std::string beside = path + ".new";
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return absl::PermissionDeniedError(absl::StrCat("cannot write ", beside, ": ", std::strerror(errno)));
  const bool written = ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  const bool synced = written && ::fsync(fd) == 0;
  ::close(fd);
  if (!synced || ::rename(beside.c_str(), path.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<KeyPtr> read_key(const std::string& path) {
  absl::StatusOr<std::string> pem = read_file(path);
  if (!pem.ok()) return pem.status();
  const BioPtr bio(BIO_new_mem_buf(pem->data(), static_cast<int>(pem->size())));
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  wipe(pem->data(), pem->size());
  if (!key) return absl::InvalidArgumentError(absl::StrCat(path, " holds no private key: ", openssl_reason()));
  return key;
}

absl::StatusOr<ContextPtr> make_tunnel_context(const std::string& dir, EVP_PKEY& key) {
  const std::string ca = dir + "/ca.pem";
  absl::StatusOr<ContextPtr> context = make_client_context(::access(ca.c_str(), F_OK) == 0 ? ca : "");
  if (!context.ok()) return context.status();
  SSL_CTX* const ssl = context->get();
  const std::string certificate = dir + "/certificate.pem";
  if (SSL_CTX_use_certificate_chain_file(ssl, certificate.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use ", certificate, " (", openssl_reason(), "): run `sluice agent pair` again"));
  }
  if (SSL_CTX_use_PrivateKey(ssl, &key) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(certificate, " does not fit key.pem: run `sluice agent pair` again"));
  }
  std::string alpn(1, static_cast<char>(net::kTunnelAlpn.size()));
  alpn += net::kTunnelAlpn;
  SSL_CTX_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()), static_cast<unsigned>(alpn.size()));
  return context;
}

}  // namespace

absl::StatusOr<ContextPtr> make_client_context(const std::string& ca_file) {
  ContextPtr context(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free);
  if (!context) return absl::InternalError("no TLS context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  // A tunnel must show its certificate each time: nothing is resumed.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  const int trusted = ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get())
                                      : SSL_CTX_load_verify_locations(context.get(), ca_file.c_str(), nullptr);
  if (trusted != 1) {
    return absl::InvalidArgumentError(absl::StrCat("cannot use the CA file ", ca_file, ": ", openssl_reason()));
  }
  return context;
}

absl::StatusOr<KeyPtr> make_key() {
  KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return absl::InternalError(absl::StrCat("cannot make a key: ", openssl_reason()));
  return key;
}

absl::StatusOr<std::string> make_csr(EVP_PKEY& key, const std::string& common_name) {
  const std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(X509_REQ_new(), &X509_REQ_free);
  X509_NAME* const subject = X509_REQ_get_subject_name(request.get());
  const auto* const name = reinterpret_cast<const unsigned char*>(common_name.c_str());
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), &key) != 1 || X509_REQ_sign(request.get(), &key, EVP_sha256()) == 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return absl::InternalError(absl::StrCat("cannot make a certificate request: ", openssl_reason()));
  }
  return content_of(*bio);
}

absl::StatusOr<std::string> key_to_pem(EVP_PKEY& key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return absl::InternalError(absl::StrCat("cannot write the key: ", openssl_reason()));
  }
  return content_of(*bio);
}

absl::Status Credentials::prepare(const std::string& dir) {
  constexpr std::size_t kProbeBytes = 32 * 1024;  // more than the files take
  const auto refused = [&](std::string_view why) {
    return absl::PermissionDeniedError(absl::StrCat("cannot use the folder ", dir, ": ", std::string(why),
                                                    "; choose another --dir, or make it this user's"));
  };
  std::error_code failed;
  std::filesystem::create_directories(dir, failed);
  if (failed) return refused(failed.message());
  const std::string probe = dir + "/probe";
  const absl::Status written = write_file(probe, std::string(kProbeBytes, ' '));
  ::unlink((probe + ".new").c_str());
  ::unlink(probe.c_str());
  return written.ok() ? written : refused({written.message().data(), written.message().size()});
}

absl::Status Credentials::create(const std::string& dir, EVP_PKEY& key, std::string_view certificate,
                                 std::string_view ca, std::string_view agent_id,
                                 const std::vector<std::string>& gateways) {
  if (absl::Status ready = prepare(dir); !ready.ok()) return ready;
  ::chmod(dir.c_str(), 0700);
  absl::StatusOr<std::string> key_pem = key_to_pem(key);
  if (!key_pem.ok()) return key_pem.status();
  json::array urls;
  for (const std::string& gateway : gateways) urls.emplace_back(gateway);
  json::object about;
  about["agent_id"] = std::string(agent_id);
  about["gateways"] = std::move(urls);
  absl::Status status = write_file(dir + "/key.pem", *key_pem);
  wipe(key_pem->data(), key_pem->size());
  if (status.ok()) status = write_file(dir + "/certificate.pem", certificate);
  if (status.ok() && !ca.empty()) status = write_file(dir + "/ca.pem", ca);
  if (status.ok()) status = write_file(dir + "/agent.json", json::serialize(about) + "\n");
  return status;
}

absl::StatusOr<Credentials> Credentials::load(const std::string& dir) {
  Credentials credentials;
  credentials.dir_ = dir;
  const absl::StatusOr<std::string> text = read_file(dir + "/agent.json");
  if (!text.ok()) return text.status();
  const auto about = parse_object(*text, 64 * 1024);
  if (!about || array_of(*about, "gateways") == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(dir, "/agent.json is damaged: run `sluice agent pair` again"));
  }
  credentials.agent_id_ = text_of(*about, "agent_id");
  for (const json::value& url : *array_of(*about, "gateways")) {
    if (url.is_string()) credentials.gateways_.emplace_back(url.get_string().c_str());
  }
  absl::StatusOr<KeyPtr> key = read_key(dir + "/key.pem");
  if (!key.ok()) return key.status();
  credentials.key_ = std::move(*key);
  absl::StatusOr<ContextPtr> context = make_tunnel_context(dir, *credentials.key_);
  if (!context.ok()) return context.status();
  credentials.context_ = std::move(*context);
  return credentials;
}

absl::StatusOr<std::string> Credentials::renewal_csr() const { return make_csr(*key_, agent_id_); }

absl::Status Credentials::renew(std::string_view certificate) {
  const BioPtr bio(BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())));
  const std::unique_ptr<X509, decltype(&X509_free)> leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr),
                                                         &X509_free);
  if (!leaf || X509_check_private_key(leaf.get(), key_.get()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("the new certificate does not fit the agent's key");
  }
  if (absl::Status status = write_file(dir_ + "/certificate.pem", certificate); !status.ok()) return status;
  absl::StatusOr<ContextPtr> context = make_tunnel_context(dir_, *key_);
  if (!context.ok()) return context.status();
  context_ = std::move(*context);
  return absl::OkStatus();
}

}  // namespace sluice::agent
