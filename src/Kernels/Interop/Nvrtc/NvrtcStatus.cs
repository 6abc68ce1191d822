namespace Kernels.Interop;

/// <summary>nvrtcResult, NVRTC_ERROR_X_Y spelled XY.</summary>
internal enum NvrtcStatus
{
    Success = 0,
    OutOfMemory = 1,
    ProgramCreationFailure = 2,
    InvalidInput = 3,
    InvalidProgram = 4,

    /// <summary>Also an architecture this NVRTC does not know; the log names the option.</summary>
    InvalidOption = 5,

    /// <summary>The program log says why.</summary>
    Compilation = 6,

    /// <summary>Usually: libnvrtc-builtins is not beside libnvrtc.</summary>
    BuiltinOperationFailure = 7,
    NoNameExpressionsAfterCompilation = 8,
    NoLoweredNamesBeforeCompilation = 9,
    NameExpressionNotValid = 10,
    InternalError = 11,
    TimeFileWriteFailed = 12,
    NoPchCreateAttempted = 13,
    PchCreateHeapExhausted = 14,
    PchCreate = 15,
    Cancelled = 16,
    TimeTraceFileWriteFailed = 17,
    Busy = 18,
}
