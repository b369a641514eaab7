/* Nothing but starting and stopping. */
#include <stdio.h>
int main(void) { puts("hello"); }
