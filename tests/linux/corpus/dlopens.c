/* dlopen: libraries loaded and unloaded, symbols, scopes, errors, dladdr, dl_iterate_phdr.  only: dynamic */
#include "common.h"
#include <dlfcn.h>
#include <link.h>

static int count(struct dl_phdr_info *info, size_t size, void *data) {
    ++*(int *)data;
    return strstr(info->dlpi_name, "libm.so") != 0;
}
int exported(int x) { return x * 2; }
int main(void) {
    void *math = dlopen("libm.so.6", RTLD_LAZY | RTLD_LOCAL);
    double (*cosine)(double) = (double (*)(double))dlsym(math, "cos");
    SAY("%.15g %d\n", cosine(1), dlsym(RTLD_DEFAULT, "printf") != 0);
    SAY("%p\n", dlsym(math, "no_such_symbol"));
    SAY("%d\n", strstr(dlerror(), "undefined symbol: no_such_symbol") != 0);
    SAY("%p %d\n", dlopen("libnothing.so.9", RTLD_NOW), strstr(dlerror(), "cannot open shared object file") != 0);
    int modules = 0;
    SAY("%d %d\n", dl_iterate_phdr(count, &modules), modules > 1);
    Dl_info info;
    SAY("%d", dladdr((void *)cosine, &info));
    SAY(" %d %d\n", strstr(info.dli_fname, "libm.so.6") != 0, info.dli_sname && !strncmp(info.dli_sname, "cos", 3));
    void *again = dlopen("libm.so.6", RTLD_NOW | RTLD_NOLOAD);
    SAY("same %d\n", again == math);
    dlclose(again);
    SAY("%d %d\n", dlclose(math), dlsym(RTLD_DEFAULT, "exported") == (void *)exported);
    void *self = dlopen(0, RTLD_NOW);
    int (*function)(int) = (int (*)(int))dlsym(self, "exported");
    SAY("%d\n", function ? function(21) : -1);
    void *resolver = dlopen("libresolv.so.2", RTLD_NOW | RTLD_GLOBAL);
    SAY("%d\n", resolver && dlsym(RTLD_DEFAULT, "ns_parserr") != 0);
    struct link_map *map;
    SAY("%d %d\n", dlinfo(resolver, RTLD_DI_LINKMAP, &map), strstr(map->l_name, "libresolv") != 0);
    return 0;
}
