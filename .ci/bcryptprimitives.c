/* Rust's std asks this DLL of Windows for random numbers; Wine 8 does not have it. Wine's advapi32 has the same
 * under an older name. `.ci/run windows` builds this with mingw and puts it into its own Wine prefix. */
#include <stddef.h>
#include <windows.h>

BOOLEAN WINAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    while (length > 0) {
        ULONG part = length > 0x10000 ? 0x10000 : (ULONG)length;
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        length -= part;
    }
    return TRUE;
}
