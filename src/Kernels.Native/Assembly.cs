using System.Runtime.CompilerServices;

// A bool is one byte, as in C, and a struct what its fields are.
[assembly: DisableRuntimeMarshalling]
