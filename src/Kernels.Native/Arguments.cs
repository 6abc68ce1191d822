using System.Runtime.InteropServices;
using System.Text;

namespace Kernels.Native;

/// <summary>What exports make of their arguments.</summary>
internal static unsafe class Arguments
{
    public static StreamEntry Stream(CStream stream) => Handles.Get<StreamEntry>(stream.Value, "stream");

    public static DeviceEntry Device(CDevice device) => Handles.Get<DeviceEntry>(device.Value, "device");

    /// <summary>The type that chooses which code runs.</summary>
    public static DType TypeOf(CTensor* tensor, string op, string name) =>
        tensor is null ? throw new ArgumentNullException(name, $"{op}: {name} is NULL.") : tensor->Dtype;

    /// <summary>The types for which there is no code.</summary>
    public static ArgumentException NoSuchTypes(string op, string names, params ReadOnlySpan<DType> types)
    {
        StringBuilder text = new();
        foreach (DType type in types) text.Append(text.Length == 0 ? "" : ", ").Append(NameOf(type));
        return new ArgumentException($"{op}: there is no such op for {names} of type {text}.", names);
    }

    /// <summary>A tensor, or null for NULL, which ops refuse by name where they need one.</summary>
    public static DeviceTensor<T>? Tensor<T>(DeviceEntry device, CTensor* tensor, string op, string name, bool keeps = false)
        where T : unmanaged
    {
        if (tensor is null) return null;
        if (tensor->Dtype != DTypes.Of<T>())
        {
            throw new ArgumentException(
                $"{op}: {name} stores {NameOf(tensor->Dtype)}, where {DTypes.Of<T>().ShortName()} is needed.", name);
        }

        return device.TensorOf<T>(*tensor, op, name, keeps);
    }

    /// <summary>A list of tensors for an object that keeps them.</summary>
    public static DeviceTensor<T>[] Tensors<T>(DeviceEntry device, CTensor* tensors, long count, string op, string name)
        where T : unmanaged
    {
        CheckList(tensors, count, op, name);
        DeviceTensor<T>[] list = new DeviceTensor<T>[count];
        for (int i = 0; i < count; i++) list[i] = Tensor<T>(device, &tensors[i], op, $"{name}[{i}]", keeps: true)!;
        return list;
    }

    /// <summary>The type of the first tensor of a list, which is that of all; float where there is none.</summary>
    public static DType TypeOfAll(CTensor* tensors, long count, string op, string name)
    {
        CheckList(tensors, count, op, name);
        return count == 0 ? DType.Float32 : tensors[0].Dtype;
    }

    public static RandomKeySource Key(DeviceEntry device, CKey* key, string op, string name)
    {
        if (key is null) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
        return key->Device is null
            ? new RandomKey(key->Seed, key->Offset)
            : Tensor<ulong>(device, key->Device, op, $"{name}.device")!;
    }

    public static RandomKey HostKey(CKey* key, string op, string name)
    {
        if (key is null) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
        if (key->Device is not null) throw new ArgumentException($"{op}: {name} is on a device, and the host needs it.", name);
        return new RandomKey(key->Seed, key->Offset);
    }

    public static DropBlockRate Rate(CDropBlockRate* rate, string op, string name)
    {
        if (rate is null) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
        return rate->Rule switch
        {
            DropBlockRule.Exact => DropBlockRate.Exact(rate->Value),
            DropBlockRule.Paper => DropBlockRate.Paper(rate->Value),
            DropBlockRule.Gamma => DropBlockRate.FromGamma(rate->Value),
            _ => throw new ArgumentOutOfRangeException(name, rate->Rule, $"{op}: unknown {name}.rule."),
        };
    }

    /// <typeparam name="T">Type of the logits.</typeparam>
    /// <typeparam name="TReal">Type of their arithmetic.</typeparam>
    /// <exception cref="ArgumentException">Tensors are missing, or there are some that have no part in it.</exception>
    public static CrossEntropyTargets Targets<T, TReal>(DeviceEntry device, CCrossEntropyTargets* targets, string op, string name)
        where T : unmanaged
        where TReal : unmanaged
    {
        if (targets is null) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
        DeviceTensor<int>? labels = Tensor<int>(device, targets->Labels, op, $"{name}.labels");
        DeviceTensor<int>? otherLabels = Tensor<int>(device, targets->OtherLabels, op, $"{name}.other_labels");
        DeviceTensor<TReal>? shares = Tensor<TReal>(device, targets->Shares, op, $"{name}.shares");
        DeviceTensor<T>? probabilities = Tensor<T>(device, targets->Probabilities, op, $"{name}.probabilities");
        return (labels, otherLabels, shares, probabilities) switch
        {
            ({ } l, null, null, null) => CrossEntropyTargets.Hard(l),
            ({ } l, { } o, { } s, null) => CrossEntropyTargets.Mixed(l, o, s),
            (_, null, null, { } p) => CrossEntropyTargets.Soft(p, labels),
            _ => throw new ArgumentException(
                $"{op}: {name} has labels, or labels, other_labels and shares, or probabilities, with labels or without.", name),
        };
    }

    /// <summary>A list of the caller's.</summary>
    public static ReadOnlySpan<T> Span<T>(T* values, long count, string op, string name)
        where T : unmanaged
    {
        CheckList(values, count, op, name);
        return new ReadOnlySpan<T>(values, checked((int)count));
    }

    /// <summary>A list that may be missing.</summary>
    public static T[]? List<T>(T* values, long count, string op, string name)
        where T : unmanaged => values is null ? null : Span(values, count, op, name).ToArray();

    /// <summary>A text of the caller's, null for NULL.</summary>
    public static string? Text(byte* text) => Marshal.PtrToStringUTF8((nint)text);

    /// <summary>A place for a result.</summary>
    public static void Result(void* result, string op, string name)
    {
        if (result is null) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
    }

    /// <summary>Gives a list of results, and how many there are also where they do not fit.</summary>
    public static void Results<T>(ReadOnlySpan<T> values, T* result, long capacity, long* count, string op)
        where T : unmanaged
    {
        Result(count, op, nameof(count));
        *count = values.Length;
        if (capacity < values.Length)
        {
            throw new ArgumentOutOfRangeException(
                nameof(capacity), capacity, $"{op}: there are {values.Length} results.");
        }

        if (values.Length > 0) Result(result, op, nameof(result));
        values.CopyTo(new Span<T>(result, values.Length));
    }

    /// <summary>A struct that says its size: NULL, or one that this library knows.</summary>
    /// <returns>False for NULL.</returns>
    public static bool Sized(nuint* size, int expected, string name)
    {
        if (size is null) return false;
        if (*size == (nuint)expected) return true;
        throw new ArgumentException(
            $"{name}: size is {*size}, where this library has {expected}; begin with {name.ToUpperInvariant()}_INIT.", name);
    }

    /// <summary>
    /// A field that counts where has_ says so. One that was set without it is a slip, and would else be left out in silence.
    /// </summary>
    public static T? Optional<T>(bool has, T value, string record, string field)
        where T : struct
    {
        if (has) return value;
        return EqualityComparer<T>.Default.Equals(value, default)
            ? null
            : throw new ArgumentException($"{record}: {field} is set, and has_{field} is false.", field);
    }

    private static void CheckList(void* values, long count, string op, string name)
    {
        if (count is < 0 or > int.MaxValue)
            throw new ArgumentOutOfRangeException(name, count, $"{op}: the number of {name} lies in [0, 2^31).");
        if (values is null && count > 0) throw new ArgumentNullException(name, $"{op}: {name} is NULL.");
    }

    private static string NameOf(DType type) => Enum.IsDefined(type) ? type.ShortName() : $"number {(int)type}";
}
