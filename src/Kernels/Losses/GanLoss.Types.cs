namespace Kernels;

/// <content>
/// The types that work together, as for <see cref="CrossEntropy"/>.
/// </content>
public static partial class GanLoss
{
    /// <inheritdoc cref="Discriminator{T, TReal}"/>
    public static void Discriminator(
        DeviceStream stream, DeviceTensor<float> realLogits, DeviceTensor<float> generatedLogits, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> summary, DeviceTensor<float>? dReal, DeviceTensor<float>? dGenerated, double gradientScale, GanLossForm form) =>
        Discriminator<float, float>(
            stream, realLogits, generatedLogits, lossGradient, summary, dReal, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Discriminator{T, TReal}"/>
    public static void Discriminator(
        DeviceStream stream, DeviceTensor<Half> realLogits, DeviceTensor<Half> generatedLogits, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> summary, DeviceTensor<Half>? dReal, DeviceTensor<Half>? dGenerated, double gradientScale, GanLossForm form) =>
        Discriminator<Half, float>(
            stream, realLogits, generatedLogits, lossGradient, summary, dReal, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Discriminator{T, TReal}"/>
    public static void Discriminator(
        DeviceStream stream, DeviceTensor<BFloat16> realLogits, DeviceTensor<BFloat16> generatedLogits, DeviceTensor<float>? lossGradient,
        DeviceTensor<float> summary, DeviceTensor<BFloat16>? dReal, DeviceTensor<BFloat16>? dGenerated, double gradientScale,
        GanLossForm form) =>
        Discriminator<BFloat16, float>(
            stream, realLogits, generatedLogits, lossGradient, summary, dReal, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Discriminator{T, TReal}"/>
    public static void Discriminator(
        DeviceStream stream, DeviceTensor<double> realLogits, DeviceTensor<double> generatedLogits, DeviceTensor<double>? lossGradient,
        DeviceTensor<double> summary, DeviceTensor<double>? dReal, DeviceTensor<double>? dGenerated, double gradientScale,
        GanLossForm form) =>
        Discriminator<double, double>(
            stream, realLogits, generatedLogits, lossGradient, summary, dReal, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Generator{T, TReal}"/>
    public static void Generator(
        DeviceStream stream, DeviceTensor<float> generatedLogits, DeviceTensor<float>? lossGradient, DeviceTensor<float> summary,
        DeviceTensor<float>? dGenerated, double gradientScale, GanLossForm form) =>
        Generator<float, float>(stream, generatedLogits, lossGradient, summary, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Generator{T, TReal}"/>
    public static void Generator(
        DeviceStream stream, DeviceTensor<Half> generatedLogits, DeviceTensor<float>? lossGradient, DeviceTensor<float> summary,
        DeviceTensor<Half>? dGenerated, double gradientScale, GanLossForm form) =>
        Generator<Half, float>(stream, generatedLogits, lossGradient, summary, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Generator{T, TReal}"/>
    public static void Generator(
        DeviceStream stream, DeviceTensor<BFloat16> generatedLogits, DeviceTensor<float>? lossGradient, DeviceTensor<float> summary,
        DeviceTensor<BFloat16>? dGenerated, double gradientScale, GanLossForm form) =>
        Generator<BFloat16, float>(stream, generatedLogits, lossGradient, summary, dGenerated, gradientScale, form);

    /// <inheritdoc cref="Generator{T, TReal}"/>
    public static void Generator(
        DeviceStream stream, DeviceTensor<double> generatedLogits, DeviceTensor<double>? lossGradient, DeviceTensor<double> summary,
        DeviceTensor<double>? dGenerated, double gradientScale, GanLossForm form) =>
        Generator<double, double>(stream, generatedLogits, lossGradient, summary, dGenerated, gradientScale, form);
}
