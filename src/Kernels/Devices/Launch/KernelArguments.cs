using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>
/// The arguments of one kernel as a typed record. Records are readonly structs; <see cref="Bind"/> hands the fields over in the order of the
/// kernel's parameter list, and a test compares the two for every kernel.
/// </summary>
internal interface IKernelArguments
{
    void Bind<TBinder>(ref TBinder binder)
        where TBinder : struct, IArgumentBinder, allows ref struct;
}

/// <summary>
/// Receives a record's fields in order. A field called <c>DropScale</c> binds the parameter <c>drop_scale</c>; a tensor binds two parameters,
/// the pointer and the element offset (<c>x</c>, <c>x_offset</c>), a key four (<c>key</c>, <c>key_offset</c>, <c>seed</c>, <c>offset</c>).
/// </summary>
internal interface IArgumentBinder
{
    void Tensor(TensorArgument value, [CallerArgumentExpression(nameof(value))] string name = "");

    void Key(in KeyArgument value, [CallerArgumentExpression(nameof(value))] string name = "");

    void UInt64(ulong value, [CallerArgumentExpression(nameof(value))] string name = "");

    void UInt32(uint value, [CallerArgumentExpression(nameof(value))] string name = "");

    /// <summary>A value in the kernel's arithmetic type: double when f64 is stored, else float.</summary>
    void Real(double value, [CallerArgumentExpression(nameof(value))] string name = "");
}

/// <summary>A tensor as a kernel sees it: memory and the first element. A default value is an absent tensor, a null pointer.</summary>
internal readonly record struct TensorArgument(DeviceMemory? Memory, ulong Offset)
{
    public bool IsPresent => Memory is not null;

    /// <summary>The address of the first element; CPU only. Null for an absent tensor.</summary>
    public unsafe T* Pointer<T>()
        where T : unmanaged => Memory is null ? null : (T*)Memory.Value + Offset;
}

/// <summary>A random key as a kernel sees it: read from device memory when <see cref="Device"/> is present, else the two values.</summary>
internal readonly record struct KeyArgument(TensorArgument Device, ulong Seed, ulong Offset)
{
    /// <summary>The key itself; CPU only.</summary>
    public unsafe RandomKey Resolve()
    {
        ulong* values = Device.Pointer<ulong>();
        return values is null ? new RandomKey(Seed, Offset) : new RandomKey(values[0], values[1]);
    }
}
