#include "shared_object.h"

#include <elf.h>
#include <string.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#endif

static bool lies_in(an_view file, uint64_t offset, uint64_t size) { return offset <= file.size && size <= file.size - offset; }

static bool segments_lie_in(an_view file, const Elf64_Ehdr *head) {
  for (size_t i = 0; i < head->e_phnum; i++) {
    Elf64_Phdr segment; /* copied, for the bytes may lie at any address */
    memcpy(&segment, file.data + head->e_phoff + i * sizeof segment, sizeof segment);
    if (!lies_in(file, segment.p_offset, segment.p_filesz)) return false;
  }
  return true;
}

const char *shared_object_flaw(an_view file) {
  Elf64_Ehdr head;
  if (file.size < sizeof head) return "the chain is no shared object";
  memcpy(&head, file.data, sizeof head);
  if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
      head.e_ident[EI_DATA] != ELFDATA2LSB || head.e_type != ET_DYN) {
    return "the chain is no shared object";
  }
  if (head.e_machine != MACHINE) return "the chain is for another kind of processor";
  if (head.e_phnum == 0 || head.e_phentsize != sizeof(Elf64_Phdr)) return "the chain's shared object is damaged";
  /* The table of sections comes last, so that a file cut anywhere lacks a part of it. */
  if (!lies_in(file, head.e_phoff, (uint64_t)head.e_phnum * sizeof(Elf64_Phdr)) || !segments_lie_in(file, &head) ||
      !lies_in(file, head.e_shoff, (uint64_t)head.e_shnum * head.e_shentsize)) {
    return "the chain's shared object is cut short";
  }
  return NULL;
}
