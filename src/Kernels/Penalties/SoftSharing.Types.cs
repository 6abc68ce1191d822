namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="CrossEntropy"/>.
/// </content>
public static partial class SoftSharing
{
    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<float> a, DeviceTensor<float> b, DeviceTensor<float> value, double strength) =>
        Forward<float, float>(stream, a, b, value, strength);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<Half> a, DeviceTensor<Half> b, DeviceTensor<float> value, double strength) =>
        Forward<Half, float>(stream, a, b, value, strength);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<BFloat16> a, DeviceTensor<BFloat16> b, DeviceTensor<float> value, double strength) =>
        Forward<BFloat16, float>(stream, a, b, value, strength);

    /// <inheritdoc cref="Forward{T, TReal}"/>
    public static void Forward(
        DeviceStream stream, DeviceTensor<double> a, DeviceTensor<double> b, DeviceTensor<double> value, double strength) =>
        Forward<double, double>(stream, a, b, value, strength);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<float> a, DeviceTensor<float> b, DeviceTensor<float>? da, DeviceTensor<float>? db,
        DeviceTensor<float> value, double strength, double gradientScale = 1) =>
        ForwardBackward<float, float>(stream, a, b, da, db, value, strength, gradientScale);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<Half> a, DeviceTensor<Half> b, DeviceTensor<Half>? da, DeviceTensor<Half>? db,
        DeviceTensor<float> value, double strength, double gradientScale = 1) =>
        ForwardBackward<Half, float>(stream, a, b, da, db, value, strength, gradientScale);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<BFloat16> a, DeviceTensor<BFloat16> b, DeviceTensor<BFloat16>? da, DeviceTensor<BFloat16>? db,
        DeviceTensor<float> value, double strength, double gradientScale = 1) =>
        ForwardBackward<BFloat16, float>(stream, a, b, da, db, value, strength, gradientScale);

    /// <inheritdoc cref="ForwardBackward{T, TReal}"/>
    public static void ForwardBackward(
        DeviceStream stream, DeviceTensor<double> a, DeviceTensor<double> b, DeviceTensor<double>? da, DeviceTensor<double>? db,
        DeviceTensor<double> value, double strength, double gradientScale = 1) =>
        ForwardBackward<double, double>(stream, a, b, da, db, value, strength, gradientScale);
}
