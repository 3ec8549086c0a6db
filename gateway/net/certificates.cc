#include "net/certificates.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <memory>

#include "absl/strings/str_cat.h"

namespace sluice::net {
namespace {

template <auto kFree>
struct Freeing {
  template <class T>
  void operator()(T* p) const noexcept {
    kFree(p);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freeing<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Freeing<X509_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freeing<X509_REQ_free>>;
using NamePtr = std::unique_ptr<X509_NAME, Freeing<X509_NAME_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freeing<X509_EXTENSION_free>>;
using BioPtr = std::unique_ptr<BIO, Freeing<BIO_free_all>>;
using NumberPtr = std::unique_ptr<BIGNUM, Freeing<BN_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freeing<GENERAL_NAMES_free>>;

constexpr std::chrono::minutes kClockSkew{10};
constexpr std::size_t kMaxPemBytes = 64 * 1024;

absl::Status failed(const char* what) {
  const unsigned long code = ERR_peek_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  ERR_clear_error();
  return absl::InvalidArgumentError(reason == nullptr ? std::string(what) : absl::StrCat(what, ": ", reason));
}

BioPtr reader(std::string_view pem) { return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

// Asking a person for a pass phrase is never right here.
int no_passphrase(char*, int, int, void*) { return -1; }

KeyPtr key_from(std::string_view pem) {
  return KeyPtr(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_passphrase, nullptr));
}
CertificatePtr certificate_from(std::string_view pem) {
  return CertificatePtr(PEM_read_bio_X509(reader(pem).get(), nullptr, no_passphrase, nullptr));
}

template <class Text>
Text text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return Text(data, static_cast<std::size_t>(size));
}

KeyPem key_text(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_secmem()));  // wiped when freed
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return text_of<KeyPem>(bio.get());
}
std::string certificate_text(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of<std::string>(bio.get());
}

NamePtr name_of(std::string_view common_name) {
  NamePtr name(X509_NAME_new());
  const auto add = [&](const char* field, std::string_view value) {
    X509_NAME_add_entry_by_txt(name.get(), field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  add("O", "Sluice");
  add("CN", common_name);
  return name;
}

// Serial numbers are random, 127 bits: nothing has to remember the last one.
bool set_serial(X509* certificate) {
  std::array<unsigned char, 16> bytes{};
  if (RAND_bytes(bytes.data(), bytes.size()) != 1) return false;
  bytes[0] &= 0x7f;
  bytes[0] |= 0x40;
  const NumberPtr number(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

struct Extension {
  int nid;
  std::string value;
};

// A certificate for `key`, signed by `issuer` (null: by itself).
absl::StatusOr<CertificatePtr> issue(EVP_PKEY* key, const NamePtr& subject, X509* issuer, EVP_PKEY* issuer_key,
                                     std::chrono::seconds lifetime, std::span<const Extension> extensions) {
  CertificatePtr made(X509_new());
  const bool filled =
      X509_set_version(made.get(), 2) == 1 && set_serial(made.get()) &&
      X509_set_subject_name(made.get(), subject.get()) == 1 &&
      X509_set_issuer_name(made.get(), issuer == nullptr ? subject.get() : X509_get_subject_name(issuer)) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(made.get()), -std::chrono::seconds(kClockSkew).count()) != nullptr &&
      X509_gmtime_adj(X509_getm_notAfter(made.get()), lifetime.count()) != nullptr &&
      X509_set_pubkey(made.get(), key) == 1;
  if (!filled) return failed("certificate cannot be filled in");
  for (const Extension& extension : extensions) {
    if (!add_extension(made.get(), issuer == nullptr ? made.get() : issuer, extension.nid, extension.value)) {
      return failed("certificate extension refused");
    }
  }
  if (X509_sign(made.get(), issuer_key, EVP_sha256()) == 0) return failed("certificate cannot be signed");
  return made;
}

struct Authority {
  KeyPtr key;
  CertificatePtr certificate;
};
absl::StatusOr<Authority> authority_from(const KeyAndCertificate& ca) {
  Authority read{key_from(ca.key), certificate_from(ca.certificate)};
  if (!read.key) return failed("key of the CA is not readable");
  if (!read.certificate) return failed("certificate of the CA is not readable");
  if (X509_check_private_key(read.certificate.get(), read.key.get()) != 1) return failed("key and CA do not match");
  return read;
}

// "an RSA key of 1024 bits", "a key of type DSA".
std::string description_of(const EVP_PKEY* key) {
  if (key == nullptr) return "no key that can be read";
  if (EVP_PKEY_is_a(key, "RSA") == 1) return absl::StrCat("an RSA key of ", EVP_PKEY_get_bits(key), " bits");
  std::array<char, 64> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) == 1)
    return absl::StrCat("an EC key on ", group.data());
  const char* const type = EVP_PKEY_get0_type_name(key);
  return absl::StrCat("a key of type ", type == nullptr ? "unknown" : type);
}

bool key_acceptable(const EVP_PKEY* key) {
  if (key == nullptr) return false;
  if (EVP_PKEY_is_a(key, "RSA") == 1) return EVP_PKEY_get_bits(key) >= 2048;
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return true;
  if (EVP_PKEY_is_a(key, "EC") != 1) return false;
  std::array<char, 64> group{};  // by its name: a curve that is spelled out by its parameters has none
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) != 1) return false;
  const int nid = OBJ_txt2nid(group.data());
  return nid == NID_X9_62_prime256v1 || nid == NID_secp384r1;
}

std::string hexadecimal(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string common_name_of(const X509_NAME* name) {
  const int index = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (index < 0) return {};
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
  if (size < 0) return {};
  std::string copy(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return copy;
}

WallTime wall_time_of(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> names;
  const NamesPtr found(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; found && i < sk_GENERAL_NAME_num(found.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(found.get(), i);
    if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
    const ASN1_STRING* value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
    if (name->type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(bytes), size);
    } else if (size == 4) {
      boost::asio::ip::address_v4::bytes_type v4;
      std::copy_n(bytes, 4, v4.begin());
      names.push_back(boost::asio::ip::address_v4(v4).to_string());
    } else if (size == 16) {
      boost::asio::ip::address_v6::bytes_type v6;
      std::copy_n(bytes, 16, v6.begin());
      names.push_back(boost::asio::ip::address_v6(v6).to_string());
    }
  }
  return names;
}

absl::StatusOr<std::string> alternative_names(std::span<const std::string> names) {
  std::string list;
  for (const std::string& name : names) {
    boost::system::error_code not_an_address;
    (void)boost::asio::ip::make_address(name, not_an_address);
    const bool plain = !name.empty() && name.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789.-*:") == std::string::npos;
    if (!plain) return absl::InvalidArgumentError(absl::StrCat("'", name, "' is not a host name or address"));
    absl::StrAppend(&list, list.empty() ? "" : ",", not_an_address ? "DNS:" : "IP:", name);
  }
  if (list.empty()) return absl::InvalidArgumentError("a server certificate needs at least one name");
  return list;
}

}  // namespace

absl::StatusOr<KeyAndCertificate> create_ca(std::string_view common_name, std::chrono::hours lifetime) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return failed("no key");
  const std::array<Extension, 3> extensions{{{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                             {NID_key_usage, "critical,keyCertSign,cRLSign"},
                                             {NID_subject_key_identifier, "hash"}}};
  auto made = issue(key.get(), name_of(common_name), nullptr, key.get(), lifetime, extensions);
  if (!made.ok()) return made.status();
  return KeyAndCertificate{key_text(key.get()), certificate_text(made->get())};
}

absl::StatusOr<KeyAndCertificate> create_server_certificate(const KeyAndCertificate& ca,
                                                            std::span<const std::string> names,
                                                            std::chrono::hours lifetime) {
  auto authority = authority_from(ca);
  if (!authority.ok()) return authority.status();
  auto alternatives = alternative_names(names);
  if (!alternatives.ok()) return alternatives.status();
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return failed("no key");
  const std::array<Extension, 6> extensions{{{NID_basic_constraints, "critical,CA:FALSE"},
                                             {NID_key_usage, "critical,digitalSignature"},
                                             {NID_ext_key_usage, "serverAuth"},
                                             {NID_subject_key_identifier, "hash"},
                                             {NID_authority_key_identifier, "keyid:always"},
                                             {NID_subject_alt_name, *alternatives}}};
  auto made = issue(key.get(), name_of(names.front().substr(0, 64)), authority->certificate.get(), authority->key.get(),
                    lifetime, extensions);
  if (!made.ok()) return made.status();
  return KeyAndCertificate{key_text(key.get()), certificate_text(made->get())};
}

absl::StatusOr<KeyAndRequest> create_request(std::string_view common_name) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const RequestPtr request(X509_REQ_new());
  const bool made = key && request && X509_REQ_set_version(request.get(), 0) == 1 &&
                    X509_REQ_set_subject_name(request.get(), name_of(common_name).get()) == 1 &&
                    X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                    X509_REQ_sign(request.get(), key.get(), EVP_sha256()) != 0;
  if (!made) return failed("no certificate request");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return KeyAndRequest{key_text(key.get()), text_of<std::string>(bio.get())};
}

absl::Status check_key(const EVP_PKEY* key, std::string_view whose) {
  if (key_acceptable(key)) return absl::OkStatus();
  const std::string what = description_of(key);
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(whose), " has ", what, "; use P-256, P-384, Ed25519, or RSA of 2048 bits or more"));
}

absl::StatusOr<std::string> sign_client_request(const KeyAndCertificate& ca, std::string_view request_pem,
                                                std::string_view common_name, std::chrono::seconds lifetime) {
  if (request_pem.size() > kMaxPemBytes) return absl::InvalidArgumentError("certificate request is too large");
  auto authority = authority_from(ca);
  if (!authority.ok()) return authority.status();
  const RequestPtr request(PEM_read_bio_X509_REQ(reader(request_pem).get(), nullptr, no_passphrase, nullptr));
  if (!request) return failed("not a certificate request in PEM form");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (auto good = check_key(key, "the certificate request"); !good.ok()) return good;
  if (X509_REQ_verify(request.get(), key) != 1) return failed("certificate request is not signed by its own key");
  const std::array<Extension, 5> extensions{{{NID_basic_constraints, "critical,CA:FALSE"},
                                             {NID_key_usage, "critical,digitalSignature"},
                                             {NID_ext_key_usage, "clientAuth"},
                                             {NID_subject_key_identifier, "hash"},
                                             {NID_authority_key_identifier, "keyid:always"}}};
  auto made =
      issue(key, name_of(common_name), authority->certificate.get(), authority->key.get(), lifetime, extensions);
  if (!made.ok()) return made.status();
  return certificate_text(made->get());
}

absl::StatusOr<Certificate> read_certificate(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) return absl::InvalidArgumentError("certificate is too large");
  const CertificatePtr certificate = certificate_from(pem);
  if (!certificate) return failed("not a certificate in PEM form");
  return read_certificate(certificate.get());
}

absl::StatusOr<Certificate> read_certificate(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return failed("certificate has no digest");
  return Certificate{common_name_of(X509_get_subject_name(certificate)),
                     common_name_of(X509_get_issuer_name(certificate)),
                     hexadecimal({digest.data(), size}),
                     names_of(certificate),
                     wall_time_of(X509_get0_notBefore(certificate)),
                     wall_time_of(X509_get0_notAfter(certificate))};
}

absl::StatusOr<Certificate> peer_certificate(const SSL* ssl) {
  const X509* certificate = ssl == nullptr ? nullptr : SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return absl::NotFoundError("peer gave no certificate");
  return read_certificate(certificate);
}

}  // namespace sluice::net
