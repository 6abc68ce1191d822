namespace Kernels.Devices;

/// <summary>
/// The arguments of one kernel as a typed record. The records are generated from the kernels' texts (see <c>kernels/README.md</c>).
/// </summary>
internal interface IKernelArguments
{
    /// <summary>The number of parameters that the fields are bound to.</summary>
    static abstract int ParameterCount { get; }

    /// <summary>Hands the fields over in the order of the kernel's parameter list.</summary>
    void Bind<TBinder>(ref TBinder binder)
        where TBinder : struct, IArgumentBinder, allows ref struct;
}

/// <summary>Receives a record's fields in order, each with its name in the text.</summary>
internal interface IArgumentBinder
{
    /// <summary>Two parameters: the pointer and the element offset (<c>x</c>, <c>x_offset</c>).</summary>
    void Tensor(TensorArgument value, string name);

    void UInt64(ulong value, string name);

    void UInt32(uint value, string name);

    /// <summary>A value in the kernel's arithmetic type: double when f64 is stored, else float.</summary>
    void Real(double value, string name);
}

/// <summary>A tensor as a kernel sees it: memory and the first element. A default value is an absent tensor, a null pointer.</summary>
internal readonly record struct TensorArgument(DeviceMemory? Memory, ulong Offset)
{
    public bool IsPresent => Memory is not null;

    /// <summary>The address of the first element; CPU only. Null for an absent tensor.</summary>
    public unsafe T* Pointer<T>()
        where T : unmanaged => Memory is null ? null : (T*)Memory.Value + Offset;
}
