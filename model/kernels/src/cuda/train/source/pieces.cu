// Pieces of rows: a thread has STEP numbers, side by side, or one where a row is no multiple of more.
#if STEP > 1
#define TAKE(from, x) load(from, x)
#define GIVE(to, x) store(to, x)
#else
#define TAKE(from, x) x[0] = one(*(from))
#define GIVE(to, x) put(to, x[0])
#endif
